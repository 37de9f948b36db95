"""The sampler that gives credit to predictions which stay the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from attrs import evolve, field, frozen, validators

from aios_core.contracts import AdaptiveSampler, Denoising, SamplingContext
from aios_core.contracts.denoising import rephrased
from aios_core.tensor_cache import highest

if TYPE_CHECKING:
    from torch import Tensor


@frozen
class Credit(AdaptiveSampler):
    """A confidence threshold on probabilities that grow while the network stays of one mind.

    Each position's likeliest token gains credit C <- decay C + p^exponent in each step, and
    log-probabilities gain weight log(1 + C) (credit decoding, arXiv 2510.06133). What is drawn
    follows these sharpened probabilities, so it is never exact.
    """

    exact: ClassVar[Literal["never"]] = "never"

    tau: float = field(default=0.9, validator=[validators.gt(0), validators.le(1)])
    """Probability, with credit, from which on a position is sure."""
    weight: float = field(default=0.7, validator=[validators.ge(0), validators.le(1e6)])
    """Of the credit; 0 is ``threshold``."""
    exponent: float = field(default=0.2, validator=[validators.ge(0), validators.le(1e3)])
    """Of the probability in the credit that it earns: the smaller, the less it matters."""
    decay: float = field(default=0.8, validator=[validators.ge(0), validators.lt(1)])
    """Of credit from step to step."""

    def choose(self, masked: Tensor, log_probs: Tensor, context: SamplingContext) -> Tensor:
        """Where the likeliest token has probability tau."""
        return highest(log_probs) >= math.log(self.tau)

    def denoise(self, x: Tensor, context: SamplingContext) -> Denoising:
        """Fill in by predictions that gain from those before."""
        context = evolve(context, time_conditioned=True)  # each differs from the one before
        return rephrased(super().denoise(x, context), answer=_Credited(self))


class _Credited:
    """Predictions with credit; remembered are only the tokens that were the likeliest at a time."""

    def __init__(self, settings: Credit) -> None:
        self.settings = settings
        self.tokens: Tensor | None = None  # (B, L, K), -1 where there are fewer than K
        self.credit: Tensor | None = None  # (B, L, K)

    def __call__(self, log_probs: Tensor) -> Tensor:
        best, token = log_probs.max(-1, keepdim=True)
        if self.tokens is None or self.credit is None:
            self.tokens, self.credit = token[..., :0], best[..., :0]
        known = (self.tokens == token).any(-1, keepdim=True)
        if not known.all():
            self.tokens = torch.cat((self.tokens, token.masked_fill(known, -1)), -1)
            self.credit = torch.cat((self.credit, torch.zeros_like(best)), -1)
        earned = (self.settings.exponent * best).exp() * (self.tokens == token)
        self.credit = self.settings.decay * self.credit + earned
        index, gain = self.tokens.clamp(min=0), self.settings.weight * self.credit.log1p()
        said = log_probs.gather(-1, index).masked_fill(self.tokens < 0, -math.inf)
        rest = (1 - said.exp().sum(-1, keepdim=True)).clamp(min=0).log()
        # The logarithm of a sum whose terms may be beyond all numbers: weights may be large.
        total = torch.logaddexp(rest, (said + gain).logsumexp(-1, keepdim=True))
        # In place, for the answer is large; what has no credit changes by the total alone.
        return log_probs.scatter_add_(-1, index, gain).sub_(total)
