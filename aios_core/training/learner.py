"""One optimiser step, a function of the weights, the seed and the number of the step."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor, nn

from aios_core.component import blamed
from aios_core.contracts import Weight
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import surprise_of, training_losses
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import clip_times, draw_times
from aios_core.errors import TrainingError
from aios_core.training import cues
from aios_core.training import device as devices
from aios_core.training.checkpoint import PARTS, Part, State, named_tensors, read_tensors
from aios_core.training.ema import Average
from aios_core.training.held_out import HeldOut
from aios_core.training.layout import Framing
from aios_core.training.recomputing import recompute

if TYPE_CHECKING:
    from aios_core.config.schema import Config
    from aios_core.contracts.optimizer import Role
    from aios_core.training.data import Prepared
    from aios_core.training.initial import Initial

log = logging.getLogger(__name__)


@frozen(eq=False)
class Step:
    """What one step did; its tensors are scalars on the device, and reading one waits for it."""

    number: int
    """From 1."""
    loss: Tensor
    """Nats a token."""
    learning_rate: float
    grad_norm: Tensor
    """Before clipping."""
    values: Mapping[str, Tensor] = field(factory=dict)
    """More to record, by name: of several modalities the loss of each, and its share of the
    gradient, where that was measured."""

    def check(self) -> None:
        """Wait for the step.

        Raises:
            TrainingError: loss or gradient is not finite; the weights are as before.
        """
        loss, norm = self.loss.item(), self.grad_norm.item()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(
                f"step {self.number}: the loss is {loss:g} and the norm of its gradient {norm:g}, "
                f"at learning rate {self.learning_rate:.3g}; expected a smaller "
                "training.learning_rate or training.clip_norm, or a longer warm-up"
            )


class Learner:
    """A network while it learns: weights, optimiser and moving average.

    Nothing random is kept between steps: windows, times and masks follow from (seed, step), so a
    run that goes on from a checkpoint does exactly what it would have done.

    Attributes:
        model: the network, with the weights as the optimiser sees them.
        average: the moving average of its weights.
    """

    def __init__(self, config: Config, prepared: Prepared) -> None:
        framing = Framing.of(config)
        self._config, self._tokens = config, prepared.train.framed(framing)
        self._cues = cues.source(config, prepared.tokenizer)
        self._held_out = HeldOut(config, prepared.held_out.framed(framing), self._cues)
        self._device = devices.choose(config.training)
        self._ahead = self._device.type == "cuda"  # of the device, which is not waited for
        self.model = Model.build(config, prepared.tokenizer.vocabulary).to(self._device)
        if config.training.gradient_checkpointing:
            recompute(self.model.backbone, config.backbone)
        self._network = self.model.compiled() if config.training.compile else self.model
        self.average = Average(self.model, config.training.ema_decay)
        with blamed(config.optimizer, "build"):
            self._stepper = config.optimizer.build(
                weights_of(self.model), weight_decay=config.training.weight_decay
            )

    @property
    def tokens(self) -> int:
        """L, of a training sequence."""
        return self._config.diffusion.length

    @property
    def row(self) -> tuple[str, str]:
        """A row in words, and what makes it smaller."""
        return f"diffusion.length = {self.tokens} tokens", "a shorter diffusion.length"

    def step(self, step: int) -> Step:
        """Do one step; on CUDA it is only begun, and the host goes on to the next.

        Args:
            step: its number, from 0.

        Raises:
            TrainingError: loss or gradient is not finite; the weights are as before. On CUDA it is
                `Step.check` that tells.
        """
        with devices.one_thread(self._device):
            return self._step(step)

    def _step(self, step: int) -> Step:
        config, training = self._config, self._config.training
        rows, length = training.batch_size * training.accumulate, config.diffusion.length
        times_seed, noise_seed, dropout_seed = _seeds(config.seed, step)
        # All that is drawn is drawn on the CPU, so nothing here waits for the step before. Each row
        # draws by its number in the step, whatever forward pass or machine it is in.
        sequences = self._tokens.batch(step, config.seed, rows)
        times = self._times(rows, length, times_seed)
        tokens = int(sequences.sizes.sum())
        self.model.zero_grad(set_to_none=True)
        total, seen = torch.zeros((), device=self._device), []
        # Dropout draws from the global generator, which must not remember earlier steps.
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(dropout_seed)
            for start in range(0, rows, training.batch_size):
                part = slice(start, start + training.batch_size)
                given = sequences[part]
                random = RowRandom.numbered(noise_seed, range(start, part.stop), length)
                with blamed(config.conditioner, "for_training"):
                    cued = self._cues.for_training(given.ids, random.fork(0))
                with devices.autocast(training, self._device):
                    losses = training_losses(
                        self._network.conditioned(cued),
                        given,
                        times[part],
                        random,
                        objective=config.objective,
                    )
                    loss = losses.sum() / tokens
                loss.backward()
                total += loss.detach()
                seen.append(losses.detach())
            surprise = surprise_of(self.model, times, torch.cat(seen))
            if surprise is not None:
                surprise.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        done = Step(step + 1, total, learning_rate(config, step), norm)
        self._update(done)
        self.average.update(step)
        return done

    def _times(self, rows: int, length: int, seed: int) -> Tensor:
        """(rows, N) times of a step, drawn for all its rows at once.

        Strata span the accumulated batch: drawn for each part alone they would be wider (T19).
        """
        diffusion, blocks = self._config.diffusion, length // self.model.block_size
        generator = torch.Generator().manual_seed(seed)
        times = draw_times(rows * blocks, generator, diffusion.times, diffusion.time_epsilon)
        return clip_times(times, self.model.noise, diffusion.mask_rates).view(rows, blocks)

    def _update(self, done: Step) -> None:
        skip = None
        if self._ahead:
            skip = (~(done.loss.isfinite() & done.grad_norm.isfinite())).float()
        else:
            done.check()
        with blamed(self._config.optimizer, "step"):
            self._stepper.step(done.learning_rate, skip=skip)

    def held_out_loss(self) -> float:
        """Nats a token of held-out texts, under the averaged weights."""
        with self.average.swapped():
            return self._held_out.loss(self.model)

    def parts(self) -> dict[Part, dict[str, Tensor]]:
        """Everything that a checkpoint keeps; the tensors are the live ones."""
        weights, optimizer = named_tensors(self.model), dict(self._stepper.state)
        return {"weights": weights, "ema": weights | self.average.shadow, "optimizer": optimizer}

    def begin(self, initial: Initial) -> None:
        """Take over weights of another run, as far as they fit; the optimizer knows none of them.

        Raises:
            TrainingError: none fits.
            ModelLoadError: they are damaged.
        """
        initial.fill(self.model, log)
        self.average = Average(self.model, self._config.training.ema_decay)

    def restore(self, checkpoint: Path, state: State) -> None:
        """Become what was saved.

        Raises:
            ModelLoadError: the checkpoint is damaged or of another network.
        """
        parts = self.parts()
        for part in PARTS:
            read_tensors(checkpoint, state, part, into=parts[part])


def learning_rate(config: Config, step: int) -> float:
    """That of a step, by its number from 0."""
    training, schedule = config.training, config.lr_schedule
    with blamed(schedule, "rate"):
        return schedule.rate(
            step,
            steps=training.steps,
            peak=training.learning_rate,
            warmup=training.warmup_steps,
        )


def weights_of(model: nn.Module) -> tuple[Weight, ...]:
    """The parameters of a network, each once, as optimizers see them."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}

    def role(name: str, parameter: Tensor) -> Role:
        if id(parameter) in embeddings:
            return "embedding"
        if parameter.ndim < 2:
            return "vector"
        return "head" if name.startswith(("head.", "noise.", "parts.")) else "matrix"

    return tuple(
        Weight(name, tensor, role(name, tensor)) for name, tensor in model.named_parameters()
    )


def _seeds(seed: int, step: int) -> tuple[int, int, int]:
    """64 bits for times, noise and dropout; the 1 keeps them apart from those of windows."""
    times, noise, dropout = np.random.SeedSequence([seed, step, 1]).generate_state(3, np.uint64)
    return int(times), int(noise), int(dropout)
