"""The sampler that divides every gap."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from attrs import field, frozen, validators
from torch import Tensor

from aios_core.contracts import AdaptiveSampler, SamplingContext
from aios_core.tensor_cache import highest
from aios_plugins.samplers._selection import ranks


@frozen
class Hierarchical(AdaptiveSampler):
    """Fill in the surest position of every gap, and all that are sure enough.

    A gap is a run of masks between tokens; each step divides it, so that positions far apart are
    filled in together and neighbours, which depend on each other, are not (hierarchical decoding
    of dInfer, arXiv 2510.08666). Never exact: as many tokens as there are gaps are drawn at once.
    """

    exact: ClassVar[Literal["never"]] = "never"

    tau: float = field(default=0.9, validator=[validators.gt(0), validators.le(1)])
    """Probability of the likeliest token from which on a position is sure by itself."""

    def choose(self, masked: Tensor, log_probs: Tensor, context: SamplingContext) -> Tensor:
        """The surest of each gap, ties at random, and whatever has probability tau."""
        surest = highest(log_probs)
        place = ranks(surest.masked_fill(~masked, -torch.inf), context.uniform())
        gap = (~masked).cumsum(-1)  # constant along a gap, and at the token before it
        place = place.masked_fill(~masked, place.shape[-1])
        best = place.new_full((len(place), place.shape[-1] + 1), place.shape[-1])
        best = best.scatter_reduce(-1, gap, place, "amin")
        return (place == best.gather(-1, gap)) | (surest >= math.log(self.tau))
