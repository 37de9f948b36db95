"""Euler's method for the reverse process."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from attrs import field, frozen, validators
from torch import Tensor

from aios_core.contracts import SamplingContext, StepSampler


@frozen
class Euler(StepSampler):
    """Lift masks at the rate that the reverse process has at the start of each step.

    The rate -alpha'(t) / (1 - alpha(t)) is taken as constant for the time t - s. ``ancestral`` uses
    the probability of the whole step instead and costs the same, so this one is for comparison.
    """

    exact: ClassVar[Literal["in the limit"]] = "in the limit"

    jump: Literal["linear", "exponential"] = field(
        default="linear", validator=validators.in_(("linear", "exponential"))
    )
    """Probability to lift a mask at rate r in time h: ``linear`` is min(1, r h) (SEDD,
    arXiv 2310.16834), ``exponential`` is 1 - exp(-r h) (discrete flow matching,
    arXiv 2407.15595)."""

    def step(
        self, x: Tensor, t: Tensor, s: Tensor, log_probs: Tensor, context: SamplingContext
    ) -> Tensor:
        """Lift some masks, all of them where s is 0."""
        expected = context.noise.weight(t) * (t - s)
        lift = expected if self.jump == "linear" else -torch.expm1(-expected)
        lift = torch.where(s > 0, lift, 1)
        lifted = context.masked(x) & (context.uniform() >= 1 - lift)
        return torch.where(lifted, context.categorical(log_probs, lifted), x)
