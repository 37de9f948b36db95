"""AdamW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aios_core.contracts import Optimizer, Weight
from aios_core.training.adam import BETAS, AdamStepper

if TYPE_CHECKING:
    from aios_core.contracts import Stepper


@frozen
class AdamW(Optimizer):
    """Adam with decoupled weight decay (arXiv 1711.05101): each number has a step of its own."""

    beta1: float = field(default=BETAS[0], validator=[validators.ge(0), validators.lt(1)])
    """Decay of the average of gradients."""
    beta2: float = field(default=BETAS[1], validator=[validators.ge(0), validators.lt(1)])
    """Decay of the average of their squares."""

    def build(self, weights: Sequence[Weight], *, weight_decay: float) -> Stepper:
        """All weights alike, but for the decay."""
        betas = self.beta1, self.beta2
        return AdamStepper.build(weights, weight_decay=weight_decay, betas=betas)
