"""One optimiser step of a network of several modalities; see `aios_core.training.learner`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from aios_core.component import blamed
from aios_core.diffusion.joint import Joint
from aios_core.diffusion.joint_loss import joint_losses, mean_loss
from aios_core.joint.asking import Asking, Drawn
from aios_core.training import device as devices
from aios_core.training.checkpoint import PARTS, Part, State, named_tensors, read_tensors
from aios_core.training.ema import Average
from aios_core.training.learner import Step, learning_rate, weights_of
from aios_core.training.recomputing import recompute

if TYPE_CHECKING:
    from aios_core.config.schema import Config
    from aios_core.joint.rows import JointRows
    from aios_core.training.initial import Initial

log = logging.getLogger(__name__)


class JointLearner:
    """A network of several modalities while it learns; draws follow from (seed, step, row).

    Attributes:
        model: the network, with the weights as the optimiser sees them.
        average: the moving average of its weights.
    """

    def __init__(self, config: Config, rows: JointRows) -> None:
        self._config, self._device = config, devices.choose(config.training)
        self._modalities = {modality.name: modality for modality in config.modalities}
        self._asking = Asking(config, rows.train)
        self._held_out = Asking(config, rows.held_out)
        self.model = built(config, rows.codecs).to(self._device)
        if config.training.gradient_checkpointing:
            recompute(self.model.backbone, config.backbone)
        if config.training.compile:
            self.model.backbone.compile(dynamic=False)
        self.average = Average(self.model, config.training.ema_decay)
        with blamed(config.optimizer, "build"):
            self._stepper = config.optimizer.build(
                weights_of(self.model), weight_decay=config.training.weight_decay
            )

    @property
    def tokens(self) -> int:
        """Positions of a row, of all its segments."""
        return sum(part.length for _, part in self.model.named_parts())

    @property
    def row(self) -> tuple[str, str]:
        """A row in words, and what makes it smaller."""
        return f"{self.tokens} positions of {', '.join(self._modalities)}", "smaller [[modalities]]"

    def begin(self, initial: Initial) -> None:
        """Take over weights of another run, as far as they fit; the optimizer knows none of them.

        Raises:
            TrainingError: none fits.
            ModelLoadError: they are damaged.
        """
        initial.fill(self.model, log)
        self.average = Average(self.model, self._config.training.ema_decay)

    def step(self, step: int) -> Step:
        """Do one step; see `Learner.step`."""
        with devices.one_thread(self._device):
            return self._step(step)

    def _step(self, step: int) -> Step:
        training = self._config.training
        rows = training.batch_size * training.accumulate
        drawn = self._asking.batch(step, rows)
        self.model.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self._device)
        each: dict[str, Tensor] = {}
        recorded = (step + 1) % training.log_every == 0
        shares: dict[str, Tensor] = {}
        dropout = int(np.random.SeedSequence([self._config.seed, step, 2]).generate_state(1)[0])
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(dropout)
            for start in range(0, rows, training.batch_size):
                part = drawn.part(start, start + training.batch_size)
                losses = parts_of(self._config, self.model, part)
                if recorded and start == 0:
                    shares = self._shares(losses)
                loss = sum(losses.values(), torch.zeros((), device=self._device))
                (loss / training.accumulate).backward()
                total += loss.detach() / training.accumulate
                for name, value in losses.items():
                    own = value.detach() / training.accumulate
                    each[name] = each.get(name, torch.zeros_like(own)) + own
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        values = {f"loss.{name}": value for name, value in each.items()} | shares
        done = Step(step + 1, total, learning_rate(self._config, step), norm, values)
        self._update(done)
        self.average.update(step)
        return done

    def _shares(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Share of each modality in the squared norms of the gradients of the trunk (M19).

        Gradients of several modalities also cancel or add up, which no share says.
        """
        trunk = list(self.model.backbone.parameters())
        squares = {}
        for name, loss in losses.items():
            gradients = torch.autograd.grad(loss, trunk, retain_graph=True, allow_unused=True)
            norms = [each.float().square().sum() for each in gradients if each is not None]
            squares[name] = torch.stack(norms).sum() if norms else loss.detach() * 0
        total = torch.stack(list(squares.values())).sum().clamp(min=1e-30)
        return {f"gradient.{name}": square / total for name, square in squares.items()}

    def _update(self, done: Step) -> None:
        skip = None
        if self._device.type == "cuda":
            skip = (~(done.loss.isfinite() & done.grad_norm.isfinite())).float()
        else:
            done.check()
        with blamed(self._config.optimizer, "step"):
            self._stepper.step(done.learning_rate, skip=skip)

    def held_out_loss(self) -> float:
        """What training minimises, of held-out rows under the averaged weights and fixed draws."""
        with self.average.swapped():
            losses = measured(self._config, self._held_out, self.model)
        return sum(losses.values())

    def parts(self) -> dict[Part, dict[str, Tensor]]:
        """Everything that a checkpoint keeps; the tensors are the live ones."""
        weights, optimizer = named_tensors(self.model), dict(self._stepper.state)
        return {"weights": weights, "ema": weights | self.average.shadow, "optimizer": optimizer}

    def restore(self, checkpoint: Path, state: State) -> None:
        """Become what was saved.

        Raises:
            ModelLoadError: the checkpoint is damaged or of another network.
        """
        parts = self.parts()
        for part in PARTS:
            read_tensors(checkpoint, state, part, into=parts[part])


def built(config: Config, codecs: Mapping[str, object]) -> Joint:
    """A fresh network for the modalities of a configuration; its weights follow from the seed."""
    named = {modality.name: (modality, codecs[modality.name]) for modality in config.modalities}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Joint(config.backbone, named)  # type: ignore[arg-type]


def parts_of(config: Config, model: Joint, drawn: Drawn) -> dict[str, Tensor]:
    """The weighted part of each modality, whose sum is the loss."""
    objectives = {modality.name: modality.objective for modality in config.modalities}
    with devices.autocast(config.training, model.device):
        losses = joint_losses(model, objectives, drawn.rows, drawn.times, drawn.random)
        return {
            modality.name: mean_loss(model.part(modality.name), losses[modality.name])
            * modality.weight
            for modality in config.modalities
        }


@torch.no_grad()
def measured(config: Config, asking: Asking, model: Joint) -> dict[str, float]:
    """The parts of the loss on ``training.evaluate_windows`` rows, by the same draws each time."""
    was = model.training
    model.eval()
    drawn, size = asking.spread(config.training.evaluate_windows), config.training.batch_size
    totals: dict[str, float] = {}
    for start in range(0, len(drawn), size):
        part = drawn.part(start, min(start + size, len(drawn)))
        for name, loss in parts_of(config, model, part).items():
            totals[name] = totals.get(name, 0.0) + loss.item() * len(part) / len(drawn)
    model.train(was)
    return totals


def held_out_losses(config: Config, rows: JointRows, model: Joint) -> dict[str, float]:
    """The parts of the loss on held-out rows, by name."""
    return measured(config, Asking(config, rows.held_out), model)
