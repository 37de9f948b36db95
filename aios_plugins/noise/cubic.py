"""The cubic schedule of flow matching."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Attribute, field, frozen, validators

from aios_core.contracts import NoiseScheduler

if TYPE_CHECKING:
    from torch import Tensor


@frozen
class Cubic(NoiseScheduler):
    """The cubic alpha(t) with given slopes at both ends: what flow matching calls kappa.

    The mask rate is (start + end - 2) t^3 + (3 - 2 start - end) t^2 + start t (Gat and others,
    arXiv 2407.15595, with their time turned round).
    """

    start: float = field(default=2.0, validator=[validators.ge(0), validators.le(4)])
    """How fast tokens vanish at t = 0, where sampling ends."""
    end: float = field(default=0.0, validator=[validators.ge(0), validators.le(4)])
    """How fast they vanish at t = 1, where sampling begins."""

    @end.validator
    def _falls(self, attribute: Attribute[float], value: float) -> None:
        # The slope is a quadratic, nowhere negative iff it has no two zeros inside.
        a, b, c = 3 * (self.start + value - 2), 2 * (3 - 2 * self.start - value), self.start
        if a > 0 and b * b > 4 * a * c and 0 < -b < 2 * a:
            raise ValueError(f"expected slopes for which alpha falls, got {self.start} and {value}")

    def alpha(self, t: Tensor) -> Tensor:
        """1 - mask_rate(t), written in 1 - t, so that it does not cancel near t = 1."""
        return _cubic(1 - t, self.end, self.start)

    def alpha_prime(self, t: Tensor) -> Tensor:
        """-(3 (start + end - 2) t^2 + 2 (3 - 2 start - end) t + start)."""
        return -_slope(t, self.start, self.end)

    def mask_rate(self, t: Tensor) -> Tensor:
        """(start + end - 2) t^3 + (3 - 2 start - end) t^2 + start t."""
        return _cubic(t, self.start, self.end)


def _cubic(t: Tensor, first: float, last: float) -> Tensor:
    """From 0 at 0 to 1 at 1, with these slopes there."""
    return t * (first + t * ((3 - 2 * first - last) + t * (first + last - 2)))


def _slope(t: Tensor, first: float, last: float) -> Tensor:
    return first + t * (2 * (3 - 2 * first - last) + t * 3 * (first + last - 2))
