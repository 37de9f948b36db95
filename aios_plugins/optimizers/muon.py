"""Muon: momentum whose singular values are made equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import torch
from attrs import field, frozen, validators

from aios_core.contracts import Optimizer, Weight
from aios_core.training.adam import BETAS, AdamStepper

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Stepper

_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS: Final = 5
_RMS: Final = 0.2


@frozen
class Muon(Optimizer):
    """Steps of equal size in all directions of a matrix (Jordan et al., 2024).

    It serves the matrices between embedding and head; all other weights are AdamW's. Steps are
    scaled to the size of AdamW's (Moonlight, arXiv 2502.16982), so that ``training.learning_rate``
    and ``training.weight_decay`` mean the same to both.
    """

    momentum: float = field(default=0.95, validator=[validators.ge(0), validators.lt(1)])
    """Decay of the average of the gradients of matrices."""
    beta1: float = field(default=BETAS[0], validator=[validators.ge(0), validators.lt(1)])
    """As of AdamW, for the other weights."""
    beta2: float = field(default=BETAS[1], validator=[validators.ge(0), validators.lt(1)])
    """Likewise."""

    def build(self, weights: Sequence[Weight], *, weight_decay: float) -> Stepper:
        """Muon for matrices, AdamW for the rest."""
        matrices = [
            weight for weight in weights if weight.role == "matrix" and weight.tensor.ndim == 2
        ]
        others = [weight for weight in weights if weight not in matrices]
        betas = self.beta1, self.beta2
        rest = AdamStepper.build(others, weight_decay=weight_decay, betas=betas)
        return MuonStepper(matrices, self.momentum, weight_decay, rest)


class MuonStepper:
    """Muon at work on the matrices of one network, and AdamW on its other weights."""

    def __init__(
        self, matrices: Sequence[Weight], momentum: float, weight_decay: float, rest: AdamStepper
    ) -> None:
        self._momentum, self._weight_decay, self._rest = momentum, weight_decay, rest
        self._average = {weight.name: torch.zeros_like(weight.tensor) for weight in matrices}
        # Matrices of one shape share the products of one step.
        shapes: dict[torch.Size, list[Weight]] = {}
        for weight in matrices:
            shapes.setdefault(weight.tensor.shape, []).append(weight)
        self._shapes = list(shapes.values())

    @property
    def state(self) -> dict[str, Tensor]:
        """AdamW's, and ``NAME.momentum`` of each matrix."""
        own = {f"{name}.momentum": average for name, average in self._average.items()}
        return {**own, **self._rest.state}

    @torch.no_grad()
    def step(self, learning_rate: float, *, skip: Tensor | None = None) -> None:
        """Go one step; a matrix without a gradient stays."""
        self._rest.step(learning_rate, skip=skip)
        for alike in self._shapes:
            given = [weight for weight in alike if weight.tensor.grad is not None]
            if given:
                self._move(given, learning_rate, skip)

    def _move(self, given: Sequence[Weight], learning_rate: float, skip: Tensor | None) -> None:
        """Go one step with matrices of one shape."""
        before = torch.stack([self._average[weight.name] for weight in given])
        gradients = torch.stack(
            [weight.tensor.grad for weight in given if weight.tensor.grad is not None]
        )
        average = before.lerp(gradients, 1 - self._momentum)
        # Nesterov's: as if the gradient had been met once more.
        change = orthogonal(gradients.lerp(average, self._momentum))
        change = change.to(before.dtype) * _RMS * max(change.shape[-2:]) ** 0.5
        decay = torch.ones((), device=before.device)
        if skip is not None:  # selected, for what is not finite stays so when multiplied by zero
            skipped = skip.bool()
            average, change = before.where(skipped, average), change.masked_fill(skipped, 0)
            decay = 1 - skip
        decay = 1 - learning_rate * self._weight_decay * decay
        for i, weight in enumerate(given):
            self._average[weight.name].copy_(average[i])
            weight.tensor.mul_(decay).sub_(change[i], alpha=learning_rate)


def orthogonal(matrices: Tensor) -> Tensor:
    """Nearly U V^T of matrices U S V^T: their singular values become about 1, but for zeros.

    Five iterations of Newton and Schulz with the polynomial of Muon, which ends between 0.7 and
    1.2 instead of at 1, and for that gets there from 0.01 in five. In bfloat16 on CUDA, which is
    exact enough for it.

    Args:
        matrices: (N, R, C) float.

    Returns:
        (N, R, C), float32 or bfloat16.
    """
    x = matrices.to(torch.bfloat16 if matrices.device.type == "cuda" else torch.float32)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x  # so that the products are small
    norm: Tensor = x.norm(dim=(-2, -1), keepdim=True)
    x = x / (norm + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = _A * x + (_B * square + _C * square @ square) @ x
    return x.mT if tall else x
