"""The corrector sampler of discrete flow matching."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from attrs import field, frozen, validators

from aios_core.contracts import SamplingContext
from aios_plugins.samplers._remasking import RemaskingSampler, shares

if TYPE_CHECKING:
    from torch import Tensor


@frozen
class DFM(RemaskingSampler):
    """Correct while sampling, most in the middle of it: discrete flow matching's sampler.

    Beside the backward process run b(t) = strength t^late (1 - t)^early forward ones and as many
    more backward (Gat and others, arXiv 2407.15595, with their time turned round). The rates are
    those of whole steps, which keep the share of masks where rates of an instant would not. Samples
    follow the joint in the limit of many steps.
    """

    exact: ClassVar[Literal["in the limit"]] = "in the limit"

    strength: float = field(default=10.0, validator=[validators.ge(0), validators.le(1e6)])
    """Of the corrector; 0 is ``ancestral``."""
    late: float = field(default=0.25, validator=[validators.ge(0), validators.le(1e3)])
    """Exponent of t: how much the corrector spares the end of sampling."""
    early: float = field(default=0.25, validator=[validators.ge(0), validators.le(1e3)])
    """Exponent of 1 - t: how much it spares the beginning."""

    def remask(self, t: Tensor, s: Tensor, limit: Tensor, context: SamplingContext) -> Tensor:
        """b(t) (alpha(s) - alpha(t)) / alpha(t)."""
        before, after = shares(t, s, context)
        strength = self.strength * t**self.late * (1 - t) ** self.early
        return (strength * (before - after) / (1 - before)).nan_to_num(nan=0.0)
