"""Intervals and paired differences against scipy's own tests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from aios_core.experiment.statistics import paired, summarise, t_quantile

numbers = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))


def test_known_interval():
    summary = summarise([1.0, 2.0, 3.0, 4.0])

    assert (4, 2.5) == (summary.n, summary.mean)
    assert pytest.approx(1.2909944) == summary.sd
    assert pytest.approx((0.4457397, 4.5542603)) == (
        summary.low,
        summary.high,
    )  # t(0.975, 3) = 3.1824


def test_two_seeds_have_a_wide_interval():
    summary = summarise([0.0, 1.0])

    assert pytest.approx(0.5 + 12.706205 / 2) == summary.high


@given(st.lists(numbers, min_size=2, max_size=8).filter(lambda xs: len(set(xs)) > 1))
def test_interval_is_that_of_scipy(values):
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)

    summary = summarise(values)

    assert pytest.approx(expected.low, abs=1e-6) == summary.low
    assert pytest.approx(expected.high, abs=1e-6) == summary.high


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 10, 99, 1000])
def test_quantiles_are_those_of_scipy(degrees):
    assert pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-12) == t_quantile(degrees)


def test_pairing_takes_out_what_seeds_share():
    baseline = {0: 10.0, 1: 20.0, 2: 30.0}
    values = {0: 10.9, 1: 21.0, 2: 31.1}
    expected = stats.ttest_rel(list(values.values()), list(baseline.values()))

    summary = paired(values, baseline)

    assert pytest.approx(1.0) == summary.mean
    assert pytest.approx(tuple(expected.confidence_interval(0.95))) == (summary.low, summary.high)
    assert summary.excludes_zero
    assert not summarise(list(values.values())).excludes_zero


def test_only_shared_seeds_are_paired():
    assert 1 == paired({0: 1.0, 1: 2.0}, {1: 1.5, 2: 0.0}).n
    assert paired({0: 1.0}, {1: 1.0}) is None


def test_one_seed_has_no_interval():
    summary = summarise([3.0])

    assert (1, 3.0, None, None, None) == (
        summary.n,
        summary.mean,
        summary.sd,
        summary.low,
        summary.high,
    )
    assert not summary.excludes_zero
