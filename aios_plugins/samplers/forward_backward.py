"""The forward-backward corrector."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from attrs import field, frozen, validators

from aios_core.contracts import SamplingContext
from aios_plugins.samplers._remasking import RemaskingSampler, shares

if TYPE_CHECKING:
    from torch import Tensor


@frozen
class ForwardBackward(RemaskingSampler):
    """Run the forward process beside the backward one, so that mistakes are put right meanwhile.

    A token is taken back with probability strength (alpha(s) - alpha(t)) / alpha(t), which is what
    the forward process would take in that time (Campbell and others, arXiv 2205.14987; in this
    form ReMDM, arXiv 2503.00307). The more steps the smaller it is, so samples follow the joint
    in the limit; more strength takes more steps to get there.
    """

    exact: ClassVar[Literal["in the limit"]] = "in the limit"

    strength: float = field(default=1.0, validator=[validators.ge(0), validators.le(1e6)])
    """How many forward processes run beside the backward one; 0 is ``ancestral``."""

    def remask(self, t: Tensor, s: Tensor, limit: Tensor, context: SamplingContext) -> Tensor:
        """Strength (alpha(s) - alpha(t)) / alpha(t); the limit where alpha(t) is 0."""
        before, after = shares(t, s, context)
        return (self.strength * (before - after) / (1 - before)).nan_to_num(nan=0.0)
