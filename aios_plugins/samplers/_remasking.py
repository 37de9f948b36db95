"""Samplers that take tokens back: one step that keeps the share of masks on the schedule."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import SamplingContext, StepSampler


def shares(t: Tensor, s: Tensor, context: SamplingContext) -> tuple[Tensor, Tensor]:
    """Shares of masks at t and at s, () float64 each: 1 at t = 1 and 0 at s = 0.

    The schedule's rates over that at t = 1, for sampling starts from masks alone.
    """
    rate = context.noise.mask_rate
    full = rate(torch.ones_like(t))
    return rate(t) / full, torch.where(s > 0, rate(s) / full, 0)


def most(before: Tensor, after: Tensor) -> Tensor:
    """Highest probability to take a token back: min(1, (1 - alpha(s)) / alpha(t)); () float64."""
    kept = 1 - before
    return torch.where(after < kept, after / kept, torch.ones_like(kept)) * (after > 0)


@frozen
class RemaskingSampler(StepSampler):
    """A sampler that takes tokens back at a rate of its own: write `remask`.

    From t to s it takes each token back with probability sigma, and lifts each mask with
    probability (alpha(s) - (1 - sigma) alpha(t)) / (1 - alpha(t)), so that the share of masks is
    1 - alpha(s) on average whatever sigma is (ReMDM, arXiv 2503.00307, eq. 6).
    """

    remasks: ClassVar[bool] = True

    @abstractmethod
    def remask(self, t: Tensor, s: Tensor, limit: Tensor, context: SamplingContext) -> Tensor:
        """The probability sigma with which a token is taken back.

        Args:
            t: () float64, the present time.
            s: () float64, the time after the step.
            limit: () float64, the highest that the schedule allows; what is above it is cut.
            context: schedule, generators, fixed positions.

        Returns:
            () float64, at least 0.
        """

    def rates(self, t: Tensor, s: Tensor, context: SamplingContext) -> tuple[Tensor, Tensor]:
        """Probabilities, () float64, that a mask stays one and that a token becomes one."""
        before, after = shares(t, s, context)
        limit = most(before, after)
        back = torch.minimum(self.remask(t, s, limit, context), limit)
        return (after - back * (1 - before)) / before, back

    def step(
        self, x: Tensor, t: Tensor, s: Tensor, log_probs: Tensor, context: SamplingContext
    ) -> Tensor:
        """Lift some masks, all of them where s is 0, and take some tokens back."""
        stay, back = self.rates(t, s, context)
        masked, u = context.masked(x), context.uniform()
        lifted = masked & (u >= stay)
        taken = ~masked & ~context.fixed & (u < back)
        x = torch.where(lifted, context.categorical(log_probs, lifted), x)
        return x.masked_fill(taken, context.mask_id)
