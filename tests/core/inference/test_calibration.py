"""What a calibration learns: what is usual, and thresholds."""

import math

import numpy as np
import pytest

from aios_core.diffusion.uncertainty import ESTIMATORS
from aios_core.inference.calibration import Calibration


def test_the_rank_of_a_threshold_counts_the_next_text():
    """Of 20 texts and a share of 5 % it is the largest, and of fewer there is none."""

    def threshold(count, share):
        found = {name: np.arange(float(count))[::-1, None] for name in ESTIMATORS}
        calibration = Calibration.of("key", (1.0,), found, share)
        total = np.sort(calibration.total(found)["entropy"])
        above = int((total > calibration.thresholds["entropy"]).sum())
        return above if calibration.thresholds["entropy"] < math.inf else None

    assert [None, 0, 0, 1] == [threshold(n, 0.05) for n in (18, 19, 20, 39)]
    assert 9 == threshold(101, 0.1)


def test_totals_are_mean_deviations_above_what_is_usual():
    """Of a population, over all levels; what never changes has no deviation, and no infinity."""
    found = {name: np.array([[0.0, 10.0, 5.0], [2.0, 30.0, 5.0]]) for name in ESTIMATORS}
    calibration = Calibration.of("key", (1.0,) * 3, found)
    other = calibration.total({"entropy": np.array([[4.0, 10.0, 5.0]])})

    assert (2, (1.0, 20.0, 5.0)) == (calibration.texts, calibration.centre["margin"])
    assert (1.0, 10.0) == calibration.scale["margin"][:2]
    assert [pytest.approx((3 - 1 + 0) / 3)] == other["entropy"].tolist()
    assert pytest.approx([-2 / 3, 2 / 3]) == calibration.total(found)["flips"].tolist()
