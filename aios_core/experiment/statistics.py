"""What seeds tell: means, intervals by Student's t, and paired differences.

Arms of one seed share weights or random numbers, so their difference varies less than they do: it
is taken seed by seed, and its interval is that of the mean of these differences.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from aios_core.contracts.report import Summary as AnySummary

LEVEL: Final = 0.95
"""Of every interval."""

DIGITS: Final = 17
"""Most behind the point: as many as a float64 has."""


@frozen
class Summary:
    """A sample of numbers, one for each seed."""

    n: int
    mean: float
    sd: float | None
    """Sample standard deviation; None of one number, as are the bounds."""
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval; never, where there is none."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def summarise(values: Sequence[float]) -> Summary:
    """Mean, standard deviation and 95 % interval of the mean by Student's t.

    Args:
        values: at least one.
    """
    n, mean = len(values), fmean(values)
    if n < 2:
        return Summary(n, mean, None, None, None)
    sd = stdev(values)
    half = t_quantile(n - 1) * sd / math.sqrt(n)
    return Summary(n, mean, sd, mean - half, mean + half)


@cache
def t_quantile(degrees: int) -> float:
    """How far from 0 Student's t is with probability `LEVEL` at most.

    The share within an angle is a finite sum (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4), so
    this needs no library; halving the interval ends where float64 does.

    Args:
        degrees: of freedom, at least 1.
    """
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _within(middle, degrees) < LEVEL else (low, middle)
    return math.tan(high) * math.sqrt(degrees)


def _within(angle: float, degrees: int) -> float:
    """Probability of -t to t, where the angle is arctan(t / sqrt(degrees))."""
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(odd, degrees - 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (k + 1) / (k + 2)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total


def paired(values: Mapping[int, float], others: Mapping[int, float]) -> Summary | None:
    """Differences ``values - others`` over the seeds that both have; None where they share none.

    Examples:
        >>> difference = paired({0: 1.5, 1: 2.5, 2: 3.5}, {0: 1.0, 1: 2.1, 2: 2.9, 3: 9.0})
        >>> difference.n, round(difference.mean, 6), difference.excludes_zero
        (3, 0.5, True)
        >>> interval(difference, sign="+")
        '+0.500 ± 0.248'
    """
    differences = [value - others[seed] for seed, value in values.items() if seed in others]
    return summarise(differences) if differences else None


def interval(summary: AnySummary | None, sign: str = "") -> str:
    """``1.234 ± 0.056``, or the mean alone where one seed gives no interval.

    It has as many digits as it takes to see whether the interval excludes zero.
    """
    if summary is None:
        return "—"
    digits = 0 if abs(summary.mean) >= 1000 else 3  # a count
    if summary.high is None:
        return f"{summary.mean:{sign}.{digits}f}"
    half = summary.high - summary.mean
    while digits < DIGITS and summary.excludes_zero != (
        round(abs(summary.mean), digits) > round(half, digits)
    ):
        digits += 1
    return f"{summary.mean:{sign}.{digits}f} ± {half:.{digits}f}"
