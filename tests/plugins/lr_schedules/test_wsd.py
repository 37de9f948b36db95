import pytest

from aios_plugins.lr_schedules.wsd import WarmupStableDecay


def rates(schedule, steps=110, warmup=10):
    return [schedule.rate(step, steps=steps, peak=2.0, warmup=warmup) for step in range(steps)]


def test_rises_stays_and_falls():
    result = rates(WarmupStableDecay())

    assert result[:10] == pytest.approx([0.2 * n for n in range(1, 11)])
    assert {2.0} == set(result[10:90])
    assert result[90:] == sorted(result[90:], reverse=True)
    assert result[95] == pytest.approx(2 * (1 - 0.25**0.5)), "a quarter of the decay"
    assert result[-1] == pytest.approx(2 * (1 - 0.95**0.5)), "the last step still learns"


def test_a_linear_decay():
    result = rates(WarmupStableDecay(decay=0.5, shape="linear"))

    assert {2.0} == set(result[10:61])
    assert result[85] == pytest.approx(1.0)
    assert result[-1] == pytest.approx(2 / 50)


def test_nothing_before_the_decay_depends_on_the_end():
    short, long = (rates(WarmupStableDecay(), steps=steps) for steps in (110, 1010))

    assert short[:90] == long[:90]
