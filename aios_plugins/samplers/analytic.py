"""The analytic sampler of score entropy."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import SamplingContext, StepSampler


@frozen
class Analytic(StepSampler):
    """Tweedie tau-leaping: undo the noise between t and s at every position on its own.

    A score s_y of the masked state gives token y with probability (exp(sigma(t) - sigma(s)) - 1)
    s_y (SEDD, arXiv 2310.16834, eq. 19). Of a network that predicts clean tokens the score is p_y /
    (exp(sigma(t)) - 1), which makes this ``ancestral`` in other words: here for those who compare.
    """

    exact: ClassVar[Literal["in the limit"]] = "in the limit"

    def step(
        self, x: Tensor, t: Tensor, s: Tensor, log_probs: Tensor, context: SamplingContext
    ) -> Tensor:
        """Lift some masks, all of them where s is 0."""
        now, later = context.noise.sigma(t), context.noise.sigma(s)
        # (exp(now - later) - 1) / (exp(now) - 1), both divided by exp(now), which may be infinite.
        lift = (torch.exp(-later) - torch.exp(-now)) / -torch.expm1(-now)
        lift = torch.where(s > 0, lift, 1)
        lifted = context.masked(x) & (context.uniform() >= 1 - lift)
        return torch.where(lifted, context.categorical(log_probs, lifted), x)
