"""The default noise schedules, beyond the suite that all defaults pass in tests/conformance."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_core.testing.contracts.noise import NoiseContract
from aios_core.testing.strategies import times
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.cosine_mdlm import CosineMDLM
from aios_plugins.noise.cosine_squared import CosineSquared
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.noise.polynomial import Polynomial


class TestLinear(NoiseContract):
    component = LogLinear(eps=0.0)


class TestCosineMDLMToTheEnd(NoiseContract):
    component = CosineMDLM(eps=0.0)


class TestSquareRoot(NoiseContract):
    component = Polynomial(exponent=0.5)


class TestCubic(NoiseContract):
    component = Polynomial(exponent=3.0)


@pytest.mark.parametrize("eps", [0.0, 1e-3, 0.1])
def test_weight_of_loglinear_is_one_over_t(eps):
    """T2: exactly, whatever eps."""
    t = torch.rand(1000, dtype=torch.float64)
    assert torch.equal(1 / t, LogLinear(eps=eps).weight(t))


def test_two_cosines_are_two_schedules():
    """At half time one has kept 0.29 and the other 0.71."""
    half = torch.tensor(0.5, dtype=torch.float64)
    assert pytest.approx(1 - math.sqrt(0.5)) == float(Cosine().alpha(half))
    assert pytest.approx(math.sqrt(0.5)) == float(CosineMDLM(eps=0).alpha(half))


@pytest.mark.parametrize(
    ("schedule", "slope"),
    [(Cosine(), math.pi / 2), (LogLinear(), 0.999), (Polynomial(exponent=1.0), 1.0)],
)
def test_mask_rate_does_not_cancel_near_zero(schedule, slope):
    """T8: 1 - alpha would have no correct digit here."""
    t = torch.tensor(1e-18, dtype=torch.float64)
    assert pytest.approx(slope * 1e-18, rel=1e-12) == float(schedule.mask_rate(t))
    assert pytest.approx(slope * 1e-18, rel=1e-12) == float(schedule.sigma(t))


def test_alpha_does_not_cancel_near_one():
    """T8: likewise at the other end."""
    t = torch.tensor(1 - 2**-40, dtype=torch.float64)
    assert pytest.approx(math.pi**2 / 8 * 2**-80, rel=1e-12) == float(Cosine().alpha(t))
    assert pytest.approx(2 * 2**-40, rel=1e-11) == float(Polynomial().alpha(t))


@settings(deadline=None)
@given(times(1e-6, 1 - 1e-6), st.floats(0.1, 10), st.floats(0, 0.5))
def test_inverse_holds_for_every_setting(t, exponent, eps):
    """T2: alpha of the time of alpha is alpha."""
    schedules = (LogLinear, CosineMDLM, CosineSquared)
    for schedule in (Polynomial(exponent), Cosine(), *(cls(eps) for cls in schedules)):
        alpha = schedule.alpha(t)
        torch.testing.assert_close(
            schedule.alpha(schedule.inverse(alpha)), alpha, atol=1e-9, rtol=0
        )
        torch.testing.assert_close(schedule.mask_rate(t), 1 - alpha, atol=1e-12, rtol=0)
