"""Weighted squared errors of clean numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from attrs import field, frozen, validators
from torch import Tensor

from aios_core.contracts import Continuous, Objective

if TYPE_CHECKING:
    from aios_core.contracts import Noisy, Prediction, TrainingContext


@frozen
class SquaredError(Objective):
    """|x - prediction|^2, summed over numbers, with the weight that samples profit from.

    No bound, but each level of noise counts for what it does to a sample: the bound spends most on
    levels that nobody sees. The network says what is clean whatever the weight (arXiv 2511.13720).
    """

    bound: ClassVar[bool] = False
    spaces: ClassVar = (Continuous,)

    weight: Literal["velocity", "clean", "noise"] = field(
        default="velocity", validator=validators.in_(["velocity", "clean", "noise"])
    )
    """What the error is of: the velocity eps - x on the straight path, where it is 1 / u^2; what is
    clean, 1; or the noise, alpha / (1 - alpha)."""
    least: float = field(default=0.05, validator=[validators.gt(0), validators.le(1)])
    """Smallest share of noise u, or deviation, that weights are divided by."""

    def score(self, noisy: Noisy, prediction: Prediction, context: TrainingContext) -> Tensor:
        """(B,): a sum over positions and numbers."""
        times = noisy.times.reshape(-1)
        signal, rest = context.noise.signal(times), context.noise.noise(times)
        if self.weight == "velocity":
            factor = (rest / (signal + rest)).clamp(min=self.least).pow(-2)
        elif self.weight == "noise":
            factor = (signal / rest.clamp(min=self.least)).square()
        else:
            factor = torch.ones_like(times)
        return prediction.everywhere(_error, factor).sum(-1)


def _error(_z: Tensor, x0: Tensor, prediction: Tensor, factor: Tensor) -> Tensor:
    """(B, L)."""
    return factor[:, None] * (x0 - prediction).square().sum(-1)
