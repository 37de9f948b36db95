"""What seeds tell: means, intervals by Student's t, and paired differences.

Arms of one seed share weights or random numbers, so their difference varies less than they do: it
is taken seed by seed, and its interval is that of the mean of these differences.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Final

from attrs import frozen

LEVEL: Final = 0.95
"""Of every interval."""


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
    from scipy.stats import t

    n, mean = len(values), fmean(values)
    if n < 2:
        return Summary(n, mean, None, None, None)
    sd = stdev(values)
    half = float(t.ppf((1 + LEVEL) / 2, n - 1)) * sd / math.sqrt(n)
    return Summary(n, mean, sd, mean - half, mean + half)


def paired(values: Mapping[int, float], others: Mapping[int, float]) -> Summary | None:
    """Differences ``values - others`` over the seeds that both have; None where they share none."""
    differences = [value - others[seed] for seed, value in values.items() if seed in others]
    return summarise(differences) if differences else None
