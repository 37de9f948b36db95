"""The sampler of a threshold that depends on how much is filled in together."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from attrs import field, frozen, validators
from torch import Tensor

from aios_core.contracts import AdaptiveSampler, SamplingContext
from aios_core.tensor_cache import highest
from aios_plugins.samplers._selection import ranks


@frozen
class Factor(AdaptiveSampler):
    """Fill in n positions together if the least sure of them has probability 1 - factor / (n + 1).

    The more are drawn independently, the surer each must be, for that bounds the error of drawing
    so (Fast-dLLM, arXiv 2505.22618, theorem 1). As many as that allows, counted from the surest and
    at least one. Exact for factor 0, when it is one token at a time.
    """

    exact: ClassVar[Literal["never"]] = "never"

    factor: float = field(default=1.0, validator=[validators.ge(0), validators.le(1e6)])
    """Larger: more at once, and less exact."""

    def choose(self, masked: Tensor, log_probs: Tensor, context: SamplingContext) -> Tensor:
        """The longest run from the surest on of which each would do as the last."""
        surest = highest(log_probs).masked_fill(~masked, -torch.inf)
        place = ranks(surest, context.uniform())
        enough = (surest.exp() >= 1 - self.factor / (place + 2)) & masked
        # The first place that is not good enough ends the run.
        end = place.masked_fill(enough, place.shape[-1]).amin(-1, keepdim=True)
        return place < end
