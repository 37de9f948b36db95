"""Schedules through points: the smooth curve that rises wherever the points do."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch

from aios_core.contracts import NoiseScheduler

if TYPE_CHECKING:
    from torch import Tensor


class MonotoneCurve(NoiseScheduler):
    """A schedule whose mask rate is a monotone cubic through points."""

    @abstractmethod
    def points_on(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Times (n,) of the points, rising from 0 to 1, and mask rates (n,) there, rising.

        Args:
            t: on whose device they are; float64, as they are.
        """

    def alpha(self, t: Tensor) -> Tensor:
        """1 - mask_rate(t)."""
        return (1 - self.mask_rate(t)).clamp(min=0)

    def alpha_prime(self, t: Tensor) -> Tensor:
        """The slope of the cubic."""
        _, _, u, first, second, third = cubic(t, *self.points_on(t))
        return -(first + u * (2 * second + 3 * u * third))

    def mask_rate(self, t: Tensor) -> Tensor:
        """The cubic itself, in a form that does not cancel near t = 0."""
        start, width, u, first, second, third = cubic(t, *self.points_on(t))
        return start + width * u * (first + u * (second + u * third))


def cubic(t: Tensor, knots: Tensor, rate: Tensor) -> tuple[Tensor, ...]:
    """The interval that t lies in: mask rate at its start, width, place in it, and the cubic.

    Of the cubic, which is that of Fritsch and Carlson (SIAM J. Numer. Anal. 17, 1980), those
    coefficients that make its mean slope from the start of the interval.

    Args:
        t: times of any shape.
        knots: (n,) times of the points, rising from 0 to 1.
        rate: (n,) mask rates there, rising.
    """
    slope = _slopes(knots, rate)
    i = torch.searchsorted(knots, t.detach().contiguous(), right=True) - 1
    i = i.clamp(0, len(knots) - 2)
    width = knots[i + 1] - knots[i]
    mean, first, last = (rate[i + 1] - rate[i]) / width, slope[i], slope[i + 1]
    second, third = 3 * mean - 2 * first - last, first + last - 2 * mean
    return rate[i], width, (t - knots[i]) / width, first, second, third


def _slopes(t: Tensor, rate: Tensor) -> Tensor:
    """Slopes at the points for which each cubic is monotone: Fritsch and Butland's harmonic mean.

    At the ends three-point formulas, cut to what keeps the cubic monotone.
    """
    h, d = t.diff(), rate.diff() / t.diff()
    if len(h) == 1:
        return d.repeat(2)
    left, right = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    inner = (left + right) / (left / d[:-1] + right / d[1:])
    first = ((2 * h[0] + h[1]) * d[0] - h[0] * d[1]) / (h[0] + h[1])
    last = ((2 * h[-1] + h[-2]) * d[-1] - h[-1] * d[-2]) / (h[-1] + h[-2])
    ends = [slope.clamp(0 * side, 3 * side) for slope, side in ((first, d[0]), (last, d[-1]))]
    return torch.cat((ends[0][None], inner, ends[1][None]))
