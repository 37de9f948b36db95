"""The loss on held-out texts while a network learns: its curve, the best step, when to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from aios_core.component import blamed
from aios_core.diffusion.objective import nelbo, nll
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times
from aios_core.training import device as devices

if TYPE_CHECKING:
    from aios_core.config.schema import Config, TrainingConfig
    from aios_core.contracts import CueSource
    from aios_core.diffusion.model import Model
    from aios_core.training.checkpoint import State
    from aios_core.training.tokens import Tokens


class HeldOut:
    """Sequences of the held-out split, with the same noise at every measurement.

    So a curve shows the network and not the draws, and nothing that training draws is touched.

    Args:
        config: ``training.evaluate_windows`` says how many, spread evenly over the split.
        tokens: the held-out split.
        cues: where those of the windows come from.
    """

    def __init__(self, config: Config, tokens: Tokens, cues: CueSource) -> None:
        self._config = config
        self._sequences = tokens.sequences(count=config.training.evaluate_windows)
        size = config.training.batch_size
        starts = range(0, len(self._sequences), size)
        with blamed(config.conditioner, "for_evaluation"):
            halves = self._sequences.first_halves(tokens.rows.vocabulary.pad_id)
            self._cues = [cues.for_evaluation(halves[i : i + size]) for i in starts]

    @torch.no_grad()
    def loss(self, model: Model) -> float:
        """Nats a token: the NELBO of a diffusion model, exact for the twin.

        Args:
            model: with the weights to measure; it comes back in training mode.
        """
        config, size, sequences = self._config, self._config.training.batch_size, self._sequences
        rows, length = sequences.ids.shape
        generator = torch.Generator().manual_seed(config.seed)
        times = draw_times(rows, generator, epsilon=config.diffusion.time_epsilon)
        total = torch.zeros((), dtype=torch.float64, device=model.device)
        model.eval()
        for number, start in enumerate(range(0, rows, size)):
            part = slice(start, min(start + size, rows))
            network = model.conditioned(self._cues[number])
            with devices.autocast(config.training, model.device):
                if config.mode == "ar":
                    nats = nll(network, sequences[part])
                else:
                    random = RowRandom.numbered(config.seed, range(part.start, part.stop), length)
                    nats = nelbo(network, sequences[part], times[part], random)
            total += nats.sum()
        model.train()
        return total.item() / int(sequences.sizes.sum())


def is_over(state: State, training: TrainingConfig) -> bool:
    """Whether a run is done: all its steps, or as many without a better loss as it has patience."""
    if state.step >= training.steps:
        return True
    if training.patience is None or state.best_step is None:
        return False
    return state.step - state.best_step >= training.patience * training.evaluate_every
