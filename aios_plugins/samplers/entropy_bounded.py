"""The entropy-bounded sampler."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from attrs import field, frozen, validators
from torch import Tensor

from aios_core.contracts import AdaptiveSampler, SamplingContext
from aios_core.tensor_cache import others
from aios_plugins.samplers._selection import ordered, sureness


@frozen
class EntropyBounded(AdaptiveSampler):
    """Fill in as many positions together as their entropies allow.

    From the lowest entropy on, so long as the sum of all but the last is at most gamma: that sum
    bounds what independent draws can lose of the dependence between them (EB-sampler,
    arXiv 2505.24857). Exact for gamma 0, when only what is certain joins a token drawn by itself.
    """

    exact: ClassVar[Literal["never"]] = "never"

    gamma: float = field(default=0.1, validator=[validators.ge(0), validators.le(1e6)])
    """Bound in nats; more is faster and less exact."""

    def choose(self, masked: Tensor, log_probs: Tensor, context: SamplingContext) -> Tensor:
        """The positions before which the entropies add up to gamma at most."""
        sure = sureness(log_probs, "entropy").masked_fill(others(masked), -torch.inf)
        surest, order = ordered(sure, context.uniform())
        before = surest - surest.cumsum(-1, dtype=torch.float64)  # not a number without a mask
        return torch.empty_like(masked).scatter_(-1, order, before <= self.gamma)
