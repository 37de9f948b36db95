"""What a study of calibration measures, and of which texts."""

import attrs
import numpy as np
import pytest
import torch

from aios_core.contracts import Sequences
from aios_core.diffusion.objective import nelbo
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times
from aios_core.registry import Registry
from aios_plugins._uncertainty.calibration import Calibration
from aios_plugins._uncertainty.estimators import RATES, estimators, read
from aios_plugins.commands.uncertainty import study
from aios_plugins.commands.uncertainty.study import (
    TextMeasures,
    TokenPredictions,
    _measure,
    halves,
    helpful,
    rank_correlation,
    risk_coverage,
    summary,
)

ESTIMATORS = estimators(Registry.discover())


def test_what_calibrates_and_what_measures_are_spread_and_apart():
    first, second = halves(torch.arange(101), 5)

    assert [0, 12, 24, 37, 49] == first.tolist()
    assert [51, 63, 75, 88, 100] == second.tolist()
    assert ([0, 1], [3, 4]) == tuple(half.tolist() for half in halves(torch.arange(5), 9))
    assert ([], []) == tuple(half.tolist() for half in halves(torch.arange(1), 9))


def test_a_bin_that_is_as_sure_as_right_has_no_error():
    sure = np.repeat([0.25, 0.75], 100)
    right = np.tile(np.arange(100) < 25, 2)
    right[100:] = np.arange(100) < 75

    assert pytest.approx(0, abs=1e-12) == TokenPredictions(0.5, sure, right, 1).ece
    assert pytest.approx(0.5) == TokenPredictions(0.5, np.ones(100), np.arange(100) < 50, 1).ece


def test_risk_of_the_best_order_is_the_least():
    right = np.array([True, False, True, False])
    best = risk_coverage(np.array([0.9, 0.1, 0.8, 0.2]), right)
    worst = risk_coverage(np.array([0.1, 0.9, 0.2, 0.8]), right)

    assert best["aurc_best"] == best["aurc"] == worst["aurc_best"] < worst["aurc"]
    assert [0, 0, pytest.approx(1 / 3), 0.5] == best["risk"]
    assert [0.25, 0.5, 0.75, 1] == best["coverage"]


def test_a_temperature_that_harms_is_not_kept():
    """It is 1 where other texts become less likely by it, and stays elsewhere."""
    none = np.zeros(1)

    def tokens(*nats):
        return tuple(
            TokenPredictions(rate, none, none > 0, n) for rate, n in zip(RATES, nats, strict=False)
        )

    measured = TextMeasures(
        {}, none, none, plain=tokens(2.0, 2.0, 2.0), tempered=tokens(1.9, 2.0, 2.1)
    )
    assert (0.8, 0.9, 1.0) == helpful((0.8, 0.9, 1.1), measured)


def test_ranks_that_agree_and_those_that_do_not():
    rising, uneven = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 20.0, 21.0, 500.0])

    assert pytest.approx(1.0) == rank_correlation(rising, uneven)
    assert pytest.approx(-1.0) == rank_correlation(rising, -uneven)
    assert pytest.approx(0.8) == rank_correlation(rising, uneven[[0, 2, 1, 3]])
    assert rank_correlation(rising, np.ones(4)) is None
    assert rank_correlation(np.ones(4), rising) is None


def measures(total, error, wrong=0.5):
    """Of as many texts, each estimator the same at all levels, one token a text and level."""
    values = np.repeat(np.array(total)[:, None], len(RATES), 1)
    tokens = tuple(
        TokenPredictions(rate, np.array([0.9, 0.6]), np.array([True, False]), 2.0 + rate)
        for rate in RATES
    )
    tempered = tuple(attrs.evolve(token, nats=token.nats - 1) for token in tokens)
    result = dict.fromkeys(ESTIMATORS, values)
    return TextMeasures(result, np.array(error), np.array([wrong] * len(error)), tokens, tempered)


def test_a_summary_counts_what_is_above_the_threshold():
    """Four of our texts, one of them above, and two others, both above: by hand."""
    levels = len(RATES)
    calibration = Calibration(
        training_key="key",
        texts=7,
        temperatures=(1.5,) * levels,
        centre=dict.fromkeys(ESTIMATORS, (1.0,) * levels),
        scale=dict.fromkeys(ESTIMATORS, (2.0,) * levels),
        thresholds=dict.fromkeys(ESTIMATORS, 1.0),
    )
    own = measures([1.0, 2.0, 3.0, 5.0], [0.1, 0.3, 0.2, 0.4], wrong=0.25)
    other = measures([6.0, 7.0], [0.6, 0.5], wrong=1.0)
    result = summary(calibration, own, other, (1.25,) * levels)
    single = result["estimators"]["entropy"]

    assert {"calibration": 7, "own": 4, "others": 2} == result["texts"]
    assert [0.0, 0.5, 1.0, 2.0] == single["own"], "standard deviations above the usual"
    assert [2.5, 3.0] == single["others"]
    assert (0.25, 1.0) == (single["false_triggers"], single["triggers_on_others"]), (
        "1.0 is not above 1"
    )
    assert pytest.approx(0.8) == single["rank_correlation_own"]
    assert pytest.approx(1 - 6 * 4 / (6 * 35)) == single["rank_correlation"]
    assert 0.25 == result["wrong"]
    first = result["levels"][0]
    assert (RATES[0], 1.5, 1.25) == tuple(
        first[name] for name in ("rate", "temperature", "temperature_fitted")
    )
    assert (2.9, 1.9) == (first["nats_before"], pytest.approx(first["nats_after"]))
    assert pytest.approx((0.1 + 0.6) / 2) == first["ece_before"]
    alone = summary(calibration, own, None, (1.25,) * levels)["estimators"]["entropy"]
    assert (None, None, []) == tuple(
        alone[name] for name in ("triggers_on_others", "rank_correlation", "others")
    )


def test_confidence_falls_into_ten_bins():
    """Of 0.1 each, the last with 1; a bin with nothing is left out."""
    sure = np.array([0.0, 0.05, 0.1, 0.95, 1.0])
    result = TokenPredictions(0.5, sure, np.array([False, True, True, True, False]), 1).bins

    assert [(0.025, 0.5, 2), (0.1, 1.0, 1), (pytest.approx(0.975), 0.5, 2)] == result


def test_what_is_measured_of_texts_is_of_each_of_them(model):
    """The share that is wrong, and the bound a token; more than fit into one batch."""
    ids = torch.randint(97, 120, (40, 16), generator=torch.Generator().manual_seed(0))
    texts, read_texts = Sequences(ids, torch.ones_like(ids, dtype=torch.bool)), []
    result = _measure(
        model, texts, ESTIMATORS, (2.0,) * len(RATES), seed=3, on_progress=read_texts.append
    )
    misses = [
        torch.cat([
            level.mean(level.log_probs.argmax(-1) != level.tokens) for level in batch
        ]).view(len(RATES), -1).mean(0)
        for batch in (
            list(read(model, texts[:32], seed=3 * 100_003)),
            list(read(model, texts[32:], seed=3 * 100_003 + 1)),
        )
    ]  # fmt: skip

    assert [32, 8] == read_texts
    np.testing.assert_allclose(torch.cat(misses).numpy(), result.wrong)
    assert (40,) == result.error.shape
    assert len(RATES) == len(result.plain) == len(result.tempered)
    for plain, tempered in zip(result.plain, result.tempered, strict=True):
        assert np.array_equal(plain.right, tempered.right)
        assert tempered.confidence.mean() < plain.confidence.mean(), "twice as hot is less sure"
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        times = draw_times(400, generator)
        again = Sequences(ids.repeat(10, 1), texts.valid.repeat(10, 1))
        nats = nelbo(model, again, times, RowRandom.numbered(0, range(400), 16)) / 16
    assert pytest.approx(float(nats.mean()), rel=0.1) == result.error.mean()


def test_no_two_batches_and_no_two_halves_are_hidden_alike(monkeypatch):
    """Every batch of 32 texts has a seed of its own, and each text is read once."""
    seen, counted = [], []
    monkeypatch.setattr(study, "read", lambda _, rows, *, seed: seen.append((seed, rows.ids)))
    ids = torch.arange(70)[:, None]
    texts = Sequences(ids, torch.ones_like(ids, dtype=torch.bool))
    for seed in (0, 1, 2):
        list(study._levels(None, texts, seed=seed, on_progress=counted.append))
    seeds = [seed for seed, _ in seen]

    assert [0, 1, 2, 100_003, 100_004, 100_005, 200_006, 200_007, 200_008] == seeds
    assert [32, 32, 6] * 3 == counted
    assert ids.equal(torch.cat([rows for _, rows in seen[:3]]))


def test_an_error_is_the_mean_bound_of_a_token_on_noise_of_its_own(monkeypatch):
    """Over all draws, each of other times; nats a token of each text."""
    asked = []

    def nelbo(_, texts, times, random):
        everything = bool(texts.targets.all())
        asked.append((texts.ids.shape, everything, times.tolist(), random.uniform()[0].tolist()))
        return torch.arange(3).double() * 8 * len(asked)

    monkeypatch.setattr(study, "nelbo", nelbo)
    ids = torch.zeros(3, 4, dtype=torch.long)
    result = study._error(None, Sequences(ids, torch.ones_like(ids, dtype=torch.bool)), seed=6)
    draws = study.DRAWS

    assert [((3, 4), True)] * draws == [(tuple(each[0]), each[1]) for each in asked]
    assert draws == len({tuple(each[2]) for each in asked}) > 1
    assert draws == len({tuple(each[3]) for each in asked}), "noise goes on"
    mean = sum(range(1, draws + 1)) / draws
    assert pytest.approx([0.0, 2 * mean, 4 * mean]) == result.tolist()
