"""What the samplers of numbers share: scales of a schedule, and steps along straight paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import torch
from attrs import field, frozen, validators

from aios_core.contracts import Continuous, Sampler, SamplingContext

if TYPE_CHECKING:
    from torch import Tensor


class Scales(NamedTuple):
    """Of a state sqrt(alpha) x + sqrt(1 - alpha) eps at one time, () float64 each."""

    signal: Tensor
    noise: Tensor


def scales(t: Tensor, context: SamplingContext) -> Scales:
    """The scales at a time (), at which nothing is noise any more if it is 0."""
    clean = t <= 0
    return Scales(
        torch.where(clean, 1.0, context.noise.signal(t)),
        torch.where(clean, 0.0, context.noise.noise(t)),
    )


def implicit(x: Tensor, clean: Tensor, now: Scales, then: Scales) -> Tensor:
    """The state (B, L, C) at ``then`` with the noise that it has ``now`` (DDIM, arXiv 2010.02502).

    With the scales a and sigma it is (sigma_s / sigma_t) z + (a_s - a_t sigma_s / sigma_t) x. On
    the schedule ``flow`` that is a step of Euler's method.
    """
    kept = then.noise / now.noise
    return kept * x + (then.signal - now.signal * kept) * clean


@frozen
class NumberSampler(Sampler):
    """A sampler of numbers alone, that solves the differential equation of the flow."""

    exact: ClassVar[Literal["in the limit"]] = "in the limit"
    absorbing_only: ClassVar[bool] = False
    spaces: ClassVar = (Continuous,)

    steps: int = field(
        default=32, kw_only=True, validator=[validators.ge(1), validators.le(1_000_000)]
    )
    """Number of steps from pure noise to what is clean."""

    def times(self, context: SamplingContext) -> Tensor:
        """(steps + 1,) float64 times to stop at, from 1 down to 0; the grid of the schedule."""
        return context.noise.timesteps(self.steps, context.spacing)
