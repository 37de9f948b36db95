"""The remasking samplers of ReMDM: ancestral steps that may take tokens back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from attrs import Attribute, field, frozen, validators
from torch import Tensor

from aios_core.contracts import Denoising, Sampler, SamplingContext
from aios_plugins.samplers._remasking import RemaskingSampler, most, shares

_fraction: Any = [validators.ge(0), validators.le(1)]


@frozen
class Cap(RemaskingSampler):
    """Take each token back with a constant probability a step (ReMDM-cap, arXiv 2503.00307).

    Mistakes can be put right, which many steps need and few steps suffer from. Not exact: however
    many steps, the share eta of the tokens is drawn anew at once. With eta 0 it is ``ancestral``.
    """

    exact: ClassVar[Literal["never"]] = "never"

    eta: float = field(default=0.04, validator=_fraction)
    """The probability, where the schedule allows it; the paper takes 0.008 for 1024 steps."""

    def remask(self, t: Tensor, s: Tensor, limit: Tensor, context: SamplingContext) -> Tensor:
        """Eta."""
        return torch.full_like(t, self.eta)


@frozen
class Rescale(RemaskingSampler):
    """Take tokens back with a share of what is possible (ReMDM-rescale, arXiv 2503.00307).

    Not exact, for the same reason as ``remdm-cap``; most is taken back at the start.
    """

    exact: ClassVar[Literal["never"]] = "never"

    eta: float = field(default=0.04, validator=_fraction)
    """Share of the highest probability; the paper takes 0.015 for 1024 steps."""

    def remask(self, t: Tensor, s: Tensor, limit: Tensor, context: SamplingContext) -> Tensor:
        """Eta times the highest that the schedule allows."""
        return self.eta * limit


@frozen
class Loop(RemaskingSampler):
    """Fill in most of the text, rework it for a while, then finish (ReMDM-loop, arXiv 2503.00307).

    The number of masks falls until ``t_on``, stays as it is while tokens are taken back and drawn
    again, and falls to nothing from ``t_off``. Not exact, for many are drawn anew at once.
    """

    exact: ClassVar[Literal["never"]] = "never"

    eta: float = field(default=0.02, validator=_fraction)
    """Probability that a token is taken back, in each step of the loop."""
    t_on: float = field(default=0.55, validator=[validators.gt(0), validators.lt(1)])
    """Where on the time grid, which falls from 1 to 0, the loop begins."""
    t_off: float = field(default=0.05, validator=[validators.gt(0), validators.lt(1)])
    """Where it ends."""
    alpha_on: float = field(default=0.9, validator=[validators.gt(0), validators.lt(1)])
    """Share of the text that is filled in during the loop."""

    @t_off.validator
    def _later(self, attribute: Attribute[float], value: float) -> None:
        if value > self.t_on:
            raise ValueError(f"expected at most t_on, which is {self.t_on}, got {value}")

    def times(self, context: SamplingContext) -> Tensor:
        """Times at which the schedule has the share of masks that the loop requires."""
        grid, noise = super().times(context), context.noise
        full = noise.mask_rate(torch.ones_like(grid[:1]))
        first = ((grid - self.t_on) / (1 - self.t_on)).clamp(min=0)
        last = (grid / self.t_off).clamp(max=1)
        down = self.alpha_on * (1 - noise.mask_rate(first) / full)
        masks = torch.where(
            grid > self.t_on, 1 - down, (1 - self.alpha_on) * noise.mask_rate(last) / full
        )
        times = noise.inverse(1 - masks * full)
        times[0], times[-1] = 1, 0
        return times

    def remask(self, t: Tensor, s: Tensor, limit: Tensor, context: SamplingContext) -> Tensor:
        """Eta while the number of masks stands still, otherwise nothing."""
        return torch.where(t == s, self.eta, torch.zeros_like(t))


@frozen
class Conf(Sampler):
    """Take back what the network was least sure of, after ReMDM-conf (arXiv 2503.00307).

    At most one token a row and step on average, shared out by a softmax over minus the probability
    that each token had when it was drawn. Not exact: what is taken back depends on what was drawn.

    It departs from the paper where that loses count: there a mask has no share of the softmax and
    is lifted as ``ancestral`` lifts it, so nothing makes up for the tokens that are taken back, and
    more masks are left than the schedule has. Here as many masks more are lifted as tokens are
    taken back, on average in the row, which keeps the number of masks on the schedule; a row
    without masks is done.
    """

    exact: ClassVar[Literal["never"]] = "never"
    remasks: ClassVar[bool] = True

    steps: int = field(
        default=64, kw_only=True, validator=[validators.ge(1), validators.le(1_000_000)]
    )
    """Number of steps from pure noise to clean text."""
    eta: float = field(default=1.0, validator=_fraction)
    """Share of the highest probability that the schedule allows."""

    def denoise(self, x: Tensor, context: SamplingContext) -> Denoising:
        """Walk the time grid with a memory of how probable each token was."""
        probability = torch.ones(x.shape, dtype=torch.float64, device=x.device)
        grid = context.noise.timesteps(self.steps, context.spacing).to(x.device)
        log_probs = None
        for t, s in pairwise(grid):
            if context.time_conditioned:
                log_probs = None  # before the next answer is made, for each is large
            if log_probs is None:
                log_probs = yield x, t.expand(len(x))
            stay, back = self.rates(x, probability, *shares(t, s, context), context)
            new = self._move(x, stay, back, log_probs, context)
            if not new.equal(x):
                drawn = log_probs.gather(-1, new[..., None])[..., 0].double().exp()
                probability = torch.where(context.masked(x), drawn, probability)
                log_probs = None
            x = new
            yield x, None  # also where nothing is asked about it
        return x

    def rates(
        self,
        x: Tensor,
        probability: Tensor,
        before: Tensor,
        after: Tensor,
        context: SamplingContext,
    ) -> tuple[Tensor, Tensor]:
        """Probabilities that a mask stays one (B, 1) and that a token becomes one (B, L)."""
        masked = context.masked(x)
        held = ~masked & ~context.fixed
        weight = (-probability).masked_fill(~held, -torch.inf).softmax(-1).nan_to_num()
        masks = masked.sum(-1, keepdim=True)
        limit = torch.minimum(self.eta * most(before, after), masks * after / before)
        taken = limit * held.any(-1, keepdim=True)  # on average, in the whole row
        return after / before - taken / masks.clamp(min=1), weight * taken

    def _move(
        self, x: Tensor, stay: Tensor, back: Tensor, log_probs: Tensor, context: SamplingContext
    ) -> Tensor:
        masked, u = context.masked(x), context.uniform()
        lifted = masked & (u >= stay)
        new = torch.where(lifted, context.categorical(log_probs, lifted), x)
        return new.masked_fill(~masked & ~context.fixed & (u < back), context.mask_id)
