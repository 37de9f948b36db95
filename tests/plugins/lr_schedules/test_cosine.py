import math

import pytest

from aios_plugins.lr_schedules.cosine import Cosine


def rates(steps, warmup, schedule=None):
    schedule = schedule or Cosine()
    return [schedule.rate(step, steps=steps, peak=2.0, warmup=warmup) for step in range(steps)]


def test_the_learning_rate_warms_up_and_falls_to_a_tenth():
    result = rates(100, 10)

    assert result[:10] == pytest.approx([0.2 * n for n in range(1, 11)])
    assert result[10] == 2.0
    assert result[10:] == sorted(result[10:], reverse=True)
    assert result[-1] == pytest.approx(0.2, rel=0.01)
    assert result[55] == pytest.approx(2 * (0.1 + 0.9 / 2)), "half way down a cosine"
    assert result[40] == pytest.approx(2 * (0.1 + 0.9 * 0.75)), "a third of the way"


def test_a_run_shorter_than_its_warm_up():
    assert rates(2, 10) == pytest.approx([0.2, 0.4])
    assert 2.0 == rates(2, 0)[0]


def test_falls_to_the_share_that_is_set():
    assert rates(1000, 0, Cosine(final=0.5))[-1] == pytest.approx(1.0, rel=1e-4)
    assert rates(1000, 0, Cosine(final=0.0))[-1] == pytest.approx(0.0, abs=1e-4)
    assert {2.0} == set(rates(9, 0, Cosine(final=1.0)))


def test_is_bit_for_bit_what_it_was_before_it_was_a_plugin():
    """Trained weights of the default depend on it."""

    def before(step, steps, peak, warmup):
        if step < warmup:
            return peak * (step + 1) / warmup
        progress = (step - warmup) / max(1, steps - warmup)
        return peak * (0.55 + 0.45 * math.cos(math.pi * progress))

    for steps, warmup in ((1000, 50), (7, 3), (2, 10)):
        for step in range(steps):
            expected = before(step, steps, 2e-3, warmup)
            assert expected == Cosine().rate(step, steps=steps, peak=2e-3, warmup=warmup)
