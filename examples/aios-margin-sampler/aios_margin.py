"""A sampler that fills in the clearest choices first.

The whole plugin: one class, and the hook that offers it. Every command imports this file, so torch
is imported for annotations only; tensors bring the functions that are needed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from attrs import frozen

import aios_core
from aios_core.contracts import SamplingContext, StepSampler

if TYPE_CHECKING:
    from torch import Tensor

AIOS_API = 1


@frozen
class Margin(StepSampler):
    """Fill in the positions whose two likeliest tokens are furthest apart (arXiv 2502.06768).

    A position with one good token is filled before one that is torn between two, even where the
    latter's best token is likelier. As many stay masked after a step as the schedule expects.
    """

    exact: ClassVar[Literal["one at a time"]] = "one at a time"

    def step(
        self, x: Tensor, t: Tensor, s: Tensor, log_probs: Tensor, context: SamplingContext
    ) -> Tensor:
        """Choose positions by margin, then draw their tokens: the choice must not see the draw."""
        masked = context.masked(x)
        first, second = log_probs.exp().topk(2, dim=-1).values.unbind(-1)
        margin = (first - second).masked_fill(~masked, -math.inf)
        rank = margin.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
        free = (~context.fixed).sum(-1)
        stay = (free * context.noise.mask_rate(s)).round() * (s > 0)
        fill = masked & (rank < (masked.sum(-1) - stay)[:, None])
        return context.categorical(log_probs, fill).where(fill, x)


@aios_core.hookimpl
def aios_samplers() -> dict[str, type]:
    """Names, and the classes they stand for."""
    return {"margin": Margin}
