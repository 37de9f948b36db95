"""What a calibration learns: what is usual, and thresholds."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aios_core.contracts import MaskLevel
from aios_core.errors import ModelLoadError
from aios_core.registry import Registry
from aios_plugins._uncertainty.calibration import (
    FALSE_TRIGGERS,
    FEWEST,
    NAME,
    Calibration,
    Temperatures,
)
from aios_plugins._uncertainty.estimators import RATES, estimators

ESTIMATORS = estimators(Registry.discover())


def test_the_rank_of_a_threshold_counts_the_next_text():
    """Of 20 texts and a share of 5 % it is the largest, and of fewer there is none."""

    def threshold(count, share):
        result = {name: np.arange(float(count))[::-1, None] for name in ESTIMATORS}
        calibration = Calibration.of("key", (1.0,), result, share)
        total = np.sort(calibration.total(result)["entropy"])
        above = int((total > calibration.thresholds["entropy"]).sum())
        return above if calibration.thresholds["entropy"] < math.inf else None

    assert [None, 0, 0, 1] == [threshold(n, 0.05) for n in (18, 19, 20, 39)]
    assert 9 == threshold(101, 0.1)


def test_totals_are_mean_deviations_above_what_is_usual():
    """Of a population, over all levels; what never changes has no deviation, and no infinity."""
    result = {name: np.array([[0.0, 10.0, 5.0], [2.0, 30.0, 5.0]]) for name in ESTIMATORS}
    calibration = Calibration.of("key", (1.0,) * 3, result)
    other = calibration.total({"entropy": np.array([[4.0, 10.0, 5.0]])})

    assert (2, (1.0, 20.0, 5.0)) == (calibration.texts, calibration.centre["margin"])
    assert (1.0, 10.0) == calibration.scale["margin"][:2]
    assert [pytest.approx((3 - 1 + 0) / 3)] == other["entropy"].tolist()
    assert pytest.approx([-2 / 3, 2 / 3]) == calibration.total(result)["flips"].tolist()


def test_the_fewest_texts_are_those_that_give_a_threshold():
    """Below them the agreed share of false triggers cannot be kept, and nothing triggers."""
    assert (0.03, 33) == (FALSE_TRIGGERS, FEWEST), "one of 33 and the next is within 3 %"
    of = np.random.default_rng(0).normal(size=(FEWEST, 3))
    for number, finite in ((FEWEST, True), (FEWEST - 1, False)):
        result = Calibration.of("", (1.0,) * 5, dict.fromkeys(ESTIMATORS, of[:number]))
        assert {finite} == set(map(math.isfinite, result.thresholds.values()))


def test_a_level_at_which_all_texts_agree_blows_nothing_up():
    of = np.zeros((FEWEST, len(RATES)))
    calibration = Calibration.of("", (1.0,) * len(RATES), dict.fromkeys(ESTIMATORS, of))
    result = calibration.total(dict.fromkeys(ESTIMATORS, of[:1] + 0.5))

    assert {0.5} == {float(total[0]) for total in result.values()}


@given(st.integers(40, 200), st.integers(0, 2**20))
def test_a_threshold_is_the_conformal_quantile(count, seed):
    """No more than the share of the texts it was learned from are above it."""
    chance = np.random.default_rng(seed)
    result = {name: chance.normal(size=(count, len(RATES))) for name in ESTIMATORS}
    calibration = Calibration.of("key", (1.0,) * len(RATES), result, 0.05)

    for name, total in calibration.total(result).items():
        assert (total > calibration.thresholds[name]).mean() <= 0.05


@pytest.mark.parametrize("factor", [0.6, 1.13, 1.7, 2.9])
def test_a_temperature_is_the_likeliest_between_those_that_are_tried_too(factor):
    """Of texts in two parts; the other shares of masks have nothing to do with it."""
    made = torch.Generator().manual_seed(3)
    honest = torch.randn(900, 6, generator=made, dtype=torch.float64).log_softmax(-1)
    tokens = torch.multinomial(honest.exp(), 1, generator=made)[:, 0]
    sharp = (honest * factor).log_softmax(-1)
    fit = Temperatures()
    for part in (slice(0, 400), slice(400, 900)):
        hidden = torch.ones(1, len(tokens[part]), dtype=torch.bool)
        fit.add(MaskLevel(RATES[2], hidden, tokens[part], sharp[part], None))
    tried = np.geomspace(0.25, 4, 801)
    nats = [-(sharp / t).log_softmax(-1).gather(1, tokens[:, None]).sum().item() for t in tried]

    assert pytest.approx(tried[np.argmin(nats)], rel=0.01) == fit.fitted()[2]


def test_temperatures_find_what_was_sharpened():
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(4000, 8, generator=generator).log_softmax(-1)
    tokens = torch.multinomial(honest.exp(), 1, generator=generator)[:, 0]
    fit = Temperatures()
    for rate, factor in zip(RATES, (1, 2, 0.5, 1.5, 1), strict=True):
        sharp = (honest * factor).log_softmax(-1)
        fit.add(MaskLevel(rate, torch.ones(1, 4000, dtype=torch.bool), tokens, sharp, None))

    assert pytest.approx((1, 2, 0.5, 1.5, 1), rel=0.05) == fit.fitted()


def test_a_calibration_belongs_to_one_training(calibrated, folder, tmp_path):
    calibration = Calibration.load(folder / "run" / NAME)
    calibration.save(tmp_path / NAME)
    assert calibration == Calibration.load(tmp_path / NAME)

    with pytest.raises(ModelLoadError, match="expected `aios uncertainty calibrate"):
        Calibration.load(tmp_path / "missing" / NAME)
    (tmp_path / NAME).write_text('{"texts": 3}')
    with pytest.raises(ModelLoadError, match="is damaged"):
        Calibration.load(tmp_path / NAME)
