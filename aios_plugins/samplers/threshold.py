"""The sampler of a confidence threshold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from attrs import field, frozen, validators

from aios_core.contracts import AdaptiveSampler, SamplingContext
from aios_core.tensor_cache import highest

if TYPE_CHECKING:
    from torch import Tensor


@frozen
class Threshold(AdaptiveSampler):
    """Fill in every position of which the network is sure enough, and at least one.

    Fast-dLLM (arXiv 2505.22618). What is filled in together is drawn independently: exact for
    tau 1, when it is one token at a time.
    """

    exact: ClassVar[Literal["never"]] = "never"

    tau: float = field(default=0.9, validator=[validators.gt(0), validators.le(1)])
    """Probability of the likeliest token, before any temperature, from which on it is sure."""

    def choose(self, masked: Tensor, log_probs: Tensor, context: SamplingContext) -> Tensor:
        """Where the likeliest token has probability tau."""
        return highest(log_probs) >= math.log(self.tau)
