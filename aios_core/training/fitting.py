"""What evolution levels are made of: tensors learned by gradient, with replay, and scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from aios_core.contracts.sequences import joined
from aios_core.diffusion.objective import nelbo, nll, training_loss
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times
from aios_core.errors import EvolutionError
from aios_core.training.adam import AdamStepper, Group

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from aios_core.contracts import Budget, Experience, Network, Sequences


def fit(
    model: Network,
    tensors: Sequence[Tensor],
    experience: Experience,
    budget: Budget,
    *,
    learning_rate: float,
    replay: float = 0.0,
    pull: Callable[[], Tensor] | None = None,
) -> None:
    """Train some tensors of a model, by AdamW with a short warm-up and a linear decay to zero.

    Gradients are asked for these tensors alone, so no other parameter is touched, nor its flags.

    Args:
        model: what the tensors are part of; a fork, for it is put into training mode.
        tensors: leaves that require a gradient; changed in place.
        experience: rows are drawn from it, with replacement once all were seen.
        budget: steps and rows a step.
        learning_rate: the peak.
        replay: rows of the base domain a step, as a share of the target's.
        pull: a penalty () that is added to each loss; None: nothing.

    Raises:
        EvolutionError: loss or gradient is not finite, or there is no text.
    """
    if not len(experience.target):
        raise EvolutionError("there is no evidence to learn from; expected at least one text")
    optimizer = AdamStepper.of([Group(tensors, weight_decay=0.0)])
    generator = torch.Generator().manual_seed(experience.seed)
    batches = _batches(experience, budget, replay, generator)
    model.train()
    with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(experience.seed)  # dropout draws from the global generator
        for step, batch in enumerate(batches):
            loss = _loss(model, batch, generator)
            if pull is not None:
                loss = loss + pull()
            gradients = torch.autograd.grad(loss, tensors, allow_unused=True)
            norm = _norm([g for g in gradients if g is not None])
            if not (math.isfinite(loss.item()) and math.isfinite(norm)):
                raise EvolutionError(
                    f"step {step + 1}: the loss is {loss.item():g} and the norm of its gradient "
                    f"{norm:g}; expected a smaller learning_rate"
                )
            for tensor, gradient in zip(tensors, gradients, strict=True):
                tensor.grad = None if gradient is None else gradient / max(1.0, norm)
            warmth = min(1.0, 10 * (step + 1) / budget.steps)
            optimizer.step(learning_rate * min(warmth, 1 - step / budget.steps))
    for tensor in tensors:
        tensor.grad = None
    model.eval()


def _batches(
    experience: Experience, budget: Budget, replay: float, generator: Generator
) -> Iterator[Sequences]:
    """Rows of the target, and of the base behind them."""
    base = experience.base if len(experience.base) else experience.target
    target = _rows(experience.target, budget.batch_size, generator)
    again = _rows(base, round(replay * budget.batch_size), generator)
    for _ in range(budget.steps):
        yield joined(next(target), next(again))


def _rows(windows: Sequences, count: int, generator: Generator) -> Iterator[Sequences]:
    """Batches of rows in random order, each row once before any comes twice."""
    order = torch.empty(0, dtype=torch.long)
    while True:
        while len(order) < count:
            order = torch.cat((order, torch.randperm(len(windows), generator=generator)))
        chosen, order = order[:count], order[count:]
        yield windows[chosen]


def _loss(model: Network, batch: Sequences, generator: Generator) -> Tensor:
    """Nats a token of a batch: the NELBO, or the next token's of an autoregressive model."""
    rows, length = batch.ids.shape
    blocks = length // model.block_size if model.in_blocks else 1
    times = draw_times(rows * blocks, generator).view(rows, blocks)
    key = int(torch.randint(2**62, (), generator=generator))
    return training_loss(model, batch, times, RowRandom.numbered(key, range(rows), length))


@torch.no_grad()
def score(
    model: Network, windows: Sequences, *, draws: int, seed: int, batch_size: int = 64
) -> Tensor:
    """Nats of each window: (N,) float64, the mean over draws of the bound.

    Texts, times and noise follow from the arguments alone, so two models are measured on the same
    draws, and their difference varies far less than either.
    """
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for start in range(0, len(windows), batch_size):
        batch = windows[start : start + batch_size]
        if model.mode == "ar":
            parts.append(nll(model, batch).double().cpu())
            continue
        rows, length = batch.ids.shape
        blocks = length // model.block_size if model.in_blocks else 1
        times = draw_times(rows * draws * blocks, generator).view(draws, rows, blocks)
        random = RowRandom.numbered(seed, range(start, start + rows), length)
        bounds = [nelbo(model, batch, each, random).double().cpu() for each in times]
        parts.append(torch.stack(bounds).mean(0))
    return torch.cat(parts)


def gradients_of(
    model: Network, windows: Sequences, tensors: Sequence[Tensor], *, batches: int, seed: int
) -> Iterator[list[Tensor]]:
    """Gradients of the loss by some tensors, a batch of 16 rows at a time; zeros where unused."""
    generator = torch.Generator().manual_seed(seed)
    rows = _rows(windows, min(16, len(windows)), generator)
    for _ in range(batches):
        loss = _loss(model, next(rows), generator)
        gradients = torch.autograd.grad(loss, tensors, allow_unused=True)
        yield [
            torch.zeros_like(tensor) if gradient is None else gradient
            for tensor, gradient in zip(tensors, gradients, strict=True)
        ]


def _norm(gradients: Sequence[Tensor]) -> float:
    if not gradients:
        raise EvolutionError("the loss depends on none of the tensors that are trained")
    return float(torch.stack([gradient.norm() for gradient in gradients]).norm())
