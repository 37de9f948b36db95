"""The default noise schedules, beyond the suite that all defaults pass in tests/conformance."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_core.registry import Registry
from aios_core.testing.contracts.noise import NoiseContract
from aios_core.testing.strategies import times
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.cosine_mdlm import CosineMDLM
from aios_plugins.noise.cosine_squared import CosineSquared
from aios_plugins.noise.cubic import Cubic
from aios_plugins.noise.custom import Custom
from aios_plugins.noise.geometric import Geometric
from aios_plugins.noise.linear_sigma import LinearSigma
from aios_plugins.noise.log import Log
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.noise.md4_clipped import MD4Clipped
from aios_plugins.noise.polynomial import Polynomial


class TestLinear(NoiseContract):
    component = LogLinear(eps=0.0)


class TestCosineMDLMToTheEnd(NoiseContract):
    component = CosineMDLM(eps=0.0)


class TestSquareRoot(NoiseContract):
    component = Polynomial(exponent=0.5)
    epsilon = 1e-6


class TestCubic(NoiseContract):
    component = Polynomial(exponent=3.0)


class TestCubicBothWays(NoiseContract):
    component = Cubic(start=0.0, end=0.0)


class TestCubicTheOtherWay(NoiseContract):
    component = Cubic(start=0.0, end=2.0)


class TestTableOfMany(NoiseContract):
    component = Custom(points=((0, 1), (0.2, 0.9), (0.3, 0.7), (0.6, 0.3), (0.8, 0.2), (1, 0)))


class TestTableOfTwo(NoiseContract):
    component = Custom(points=((0, 1), (1, 0)))


class TestMD4ClippedSquare(NoiseContract):
    component = MD4Clipped(eps=1e-3, exponent=2.0)


class TestLinearSigmaFromAbove(NoiseContract):
    component = LinearSigma(sigma_min=1e-3, sigma_max=7.0)


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
    [
        (Cosine(), math.pi / 2),
        (LogLinear(), 0.999),
        (Polynomial(exponent=1.0), 1.0),
        (LinearSigma(), 10.0),
        (Log(), 1 / math.log(2)),
        (Cubic(), 2.0),
        (Custom(points=((0, 1), (1, 0))), 1.0),
    ],
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


def test_cosine_spacing_takes_small_steps_first():
    """Where most is unknown: t = cos(pi/2 k / n), MD4."""
    grid = LogLinear().timesteps(4, "cosine")
    assert pytest.approx([math.cos(math.pi / 2 * k / 4) for k in range(5)]) == grid.tolist()
    assert pytest.approx([1, 0.75, 0.5, 0.25, 0]) == LogLinear().timesteps(4).tolist()
    even = Polynomial(exponent=2.0).timesteps(4, "information")
    assert pytest.approx([math.sqrt(k / 4) for k in range(4, -1, -1)]) == even.tolist()


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


def test_custom_passes_through_its_points():
    points = ((0.0, 1.0), (0.1, 0.95), (0.2, 0.3), (0.9, 0.28), (1.0, 0.0))
    t, alpha = torch.tensor(points, dtype=torch.float64).unbind(1)
    torch.testing.assert_close(Custom(points=points).alpha(t), alpha)
    torch.testing.assert_close(Custom(points=points).inverse(alpha), t, atol=1e-9, rtol=0)


def test_custom_is_scipys_monotone_cubic():
    """The same interpolation where scipy has it."""
    interpolate = pytest.importorskip("scipy.interpolate")
    points = ((0.0, 1.0), (0.1, 0.95), (0.2, 0.3), (0.9, 0.28), (1.0, 0.0))
    t, alpha = zip(*points, strict=True)
    expected = interpolate.PchipInterpolator(t, alpha)
    grid = torch.linspace(0, 1, 201, dtype=torch.float64)
    result = Custom(points=points)
    assert pytest.approx(expected(grid.numpy())) == result.alpha(grid).numpy()
    assert pytest.approx(expected.derivative()(grid.numpy())) == result.alpha_prime(grid).numpy()


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(1e-3, 1), st.floats(1e-3, 1)), min_size=1, max_size=8),
    times(1e-3, 1),
)
def test_custom_falls_wherever_its_points_do(steps, t):
    """Whatever the points."""
    times_, rates = torch.tensor(steps, dtype=torch.float64).cumsum(0).unbind(1)
    pairs = zip((times_ / times_[-1]).tolist(), (1 - rates / rates[-1]).tolist(), strict=True)
    schedule = Custom(points=((0.0, 1.0), *pairs))
    assert (schedule.alpha_prime(t) <= 1e-9).all()
    assert ((schedule.alpha(t) >= -1e-12) & (schedule.alpha(t) <= 1)).all()
    torch.testing.assert_close(
        schedule.alpha(schedule.inverse(schedule.alpha(t))), schedule.alpha(t), atol=1e-9, rtol=0
    )


@settings(deadline=None)
@given(st.floats(0, 4), st.floats(0, 4))
def test_cubic_falls_or_is_refused(start, end):
    t = torch.linspace(0, 1, 400, dtype=torch.float64)
    slope = start + 2 * (3 - 2 * start - end) * t + 3 * (start + end - 2) * t**2
    if slope.min() < -1e-6:
        with pytest.raises(ValueError, match="alpha falls"):
            Cubic(start=start, end=end)
    elif slope.min() > 1e-3:
        assert (Cubic(start=start, end=end).alpha_prime(t) <= 0).all()


@pytest.mark.parametrize(
    ("cls", "settings_", "problem"),
    [
        (Custom, {"points": ()}, "t to rise"),
        (Custom, {"points": ((0.0, 1.0),)}, "t to rise"),
        (Custom, {"points": ((0.0, 1.0), (0.5, 0.5), (0.5, 0.4), (1.0, 0.0))}, "t to rise"),
        (Custom, {"points": ((0.0, 0.9), (1.0, 0.0))}, "from 1 to 0"),
        (Custom, {"points": ((0.0, 1.0), (1.0, 0.2))}, "from 1 to 0"),
        (Custom, {"points": ((0.0, 1.0), (0.5, 0.4), (0.6, 0.4), (1.0, 0.0))}, "alpha to fall"),
        (LinearSigma, {"sigma_min": 1e-3, "sigma_max": 1e-3}, "more than sigma_min"),
        (Geometric, {"sigma_max": 1.0}, "sigma_max"),
    ],
)
def test_no_schedule(cls, settings_, problem):
    with pytest.raises(ValueError, match=problem):
        cls(**settings_)


QUARTER = {
    "cosine": 1 - math.sin(math.pi / 8),
    "cosine-mdlm": 0.001 + 0.999 * math.cos(math.pi / 8),
    "cosine-squared": 0.001 + 0.999 * math.cos(math.pi / 8) ** 2,
    "cubic": 0.75**2,
    "custom": 0.8,
    "flow": 0.9,
    "geometric": math.exp(-(1e-4**0.75) * 20**0.25),
    "learned": 0.75,
    "linear-sigma": math.exp(-2.5),
    "log": 1 - math.log2(1.25),
    "loglinear": 1 - 0.999 / 4,
    "md4-clipped": 1e-4 + (1 - 2e-4) * 0.75,
    "polynomial": 1 - 0.25**2,
}


def test_every_schedule_is_the_one_of_its_paper():
    """At a quarter of the time, by the formula that it names and with its defaults."""
    quarter = torch.tensor(0.25, dtype=torch.float64)
    result = {
        component.name: component.load()() for component in Registry.discover().components("noise")
    }

    assert pytest.approx(QUARTER) == {n: float(each.alpha(quarter)) for n, each in result.items()}
