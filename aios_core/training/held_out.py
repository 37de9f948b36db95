"""The loss on held-out texts while a network learns: its curve, the best step, when to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from aios_core.component import blamed
from aios_core.diffusion.objective import nelbo, nll
from aios_core.diffusion.times import draw_times
from aios_core.training import device as devices

if TYPE_CHECKING:
    from aios_core.config.schema import Config, TrainingConfig
    from aios_core.contracts import CueSource
    from aios_core.diffusion.model import Model
    from aios_core.training.checkpoint import State
    from aios_core.training.data import Tokens


class HeldOut:
    """Windows of the held-out split, with the same noise at every measurement.

    So a curve shows the network and not the draws, and nothing that training draws is touched.

    Args:
        config: ``training.evaluate_windows`` says how many, spread evenly over the split.
        tokens: the held-out split.
        cues: where those of the windows come from.
    """

    def __init__(self, config: Config, tokens: Tokens, cues: CueSource) -> None:
        self._config = config
        self._ids, self._valid = tokens.windows(
            config.diffusion.length, config.training.evaluate_windows
        )
        size = config.training.batch_size
        starts = range(0, len(self._ids), size)
        with blamed(config.conditioner, "for_evaluation"):
            self._cues = [cues.for_evaluation(self._ids[i : i + size]) for i in starts]

    @torch.no_grad()
    def loss(self, model: Model) -> float:
        """Nats a token: the NELBO of a diffusion model, exact for the twin.

        Args:
            model: with the weights to measure; it comes back in training mode.
        """
        config, size = self._config, self._config.training.batch_size
        generator = torch.Generator().manual_seed(config.seed)
        times = draw_times(len(self._ids), generator, epsilon=config.diffusion.time_epsilon)
        total = torch.zeros((), dtype=torch.float64, device=model.device)
        model.eval()
        for number, start in enumerate(range(0, len(self._ids), size)):
            part = slice(start, start + size)
            ids, valid = self._ids[part], self._valid[part]
            network = model.conditioned(self._cues[number])
            with devices.autocast(config.training, model.device):
                if config.mode == "ar":
                    nats = nll(network, ids, valid)
                else:
                    nats = nelbo(network, ids, valid, times[part], generator)
            total += nats.sum()
        model.train()
        return total.item() / int(self._valid.sum())


def is_over(state: State, training: TrainingConfig) -> bool:
    """Whether a run is done: all its steps, or as many without a better loss as it has patience."""
    if state.step >= training.steps:
        return True
    if training.patience is None or state.best_step is None:
        return False
    return state.step - state.best_step >= training.patience * training.evaluate_every
