"""What every schedule of the learning rate must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from aios_core.testing.contracts.base import Contract, expect

if TYPE_CHECKING:
    from aios_core.contracts import LrSchedule

PLANS = ((1, 0), (2, 10), (40, 0), (100, 10), (100, 99))
"""Steps of a training, and those of its warm-up."""


class LrScheduleContract(Contract["LrSchedule"]):
    """Subclass it and set ``component``: a schedule's class, or one that is built."""

    varied: ClassVar = {
        "test_never_above_the_peak": {},
        "test_in_proportion_to_the_peak": {},
        "test_warms_up": {},
        "test_depends_on_the_step_alone": {},
    }

    @classmethod
    def try_out(cls, plugin: LrSchedule) -> None:
        """A rate is a number."""
        expect(plugin.rate(7, steps=10, peak=1.0, warmup=2), float, "rate")

    def test_never_above_the_peak(self, instance: LrSchedule) -> None:
        """Nor below zero; and some step is taken."""
        for steps, warmup in PLANS:
            rates = _rates(instance, steps, warmup, 0.5)
            assert all(0 <= rate <= 0.5 * (1 + 1e-9) for rate in rates), "outside of 0 to the peak"
            assert any(rates), "no step has a rate above 0"

    def test_in_proportion_to_the_peak(self, instance: LrSchedule) -> None:
        """Or ``training.learning_rate`` would not say what it says."""
        for steps, warmup in PLANS:
            single, eight = (_rates(instance, steps, warmup, peak) for peak in (1.0, 8.0))
            assert [8 * rate for rate in single] == pytest.approx(eight), "not 8 times as much"

    def test_warms_up(self, instance: LrSchedule) -> None:
        """Rates rise until the warm-up ends, from less than the peak on."""
        rates = _rates(instance, 100, 10, 1.0)[:10]
        assert rates == sorted(rates), "a rate falls in the warm-up"
        assert rates[0] < 1, "the first rate is the peak"

    def test_depends_on_the_step_alone(self, instance: LrSchedule) -> None:
        """A run that goes on from a checkpoint has the same rates."""
        rates = _rates(instance, 40, 5, 1.0)
        for step in reversed(range(40)):
            again = instance.rate(step, steps=40, peak=1.0, warmup=5)
            assert rates[step] == again, f"step {step} has another rate the second time"


def _rates(plugin: LrSchedule, steps: int, warmup: int, peak: float) -> list[float]:
    return [plugin.rate(step, steps=steps, peak=peak, warmup=warmup) for step in range(steps)]
