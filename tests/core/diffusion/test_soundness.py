"""Schedules and corruptions of which the bound would be none are refused before anything runs."""

from types import SimpleNamespace

import attrs
import pytest
import torch
from attrs import frozen

import aios_core
from aios_core.component import described, named
from aios_core.config import resolve
from aios_core.contracts import Corruption, NoiseScheduler
from aios_core.contracts.soundness import fault
from aios_core.diffusion.model import Model
from aios_core.diffusion.soundness import check
from aios_core.errors import ConfigError, PluginError
from aios_core.registry import Registry
from aios_core.testing.contracts.noise import assert_ignorance
from aios_plugins.corruptions.hybrid import Hybrid
from aios_plugins.corruptions.uniform import Uniform
from aios_plugins.noise.learned import Learned
from aios_plugins.noise.linear_sigma import LinearSigma
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.noise.polynomial import Polynomial

from .conftest import VOCABULARY, streams, whole

SMALLEST = 1e-4


@frozen
class Bent(NoiseScheduler):
    """A linear schedule, but for what a function makes of it."""

    bend: object = None
    of: str = "alpha"

    def _answer(self, method, t, plain):
        return self.bend(t, plain) if self.bend and self.of == method else plain

    def alpha(self, t):
        return self._answer("alpha", t, 1 - t)

    def alpha_prime(self, t):
        return self._answer("alpha_prime", t, torch.full_like(t, -1.0))

    def mask_rate(self, t):
        return self._answer("mask_rate", t, 1 - self.alpha(t))

    def weight(self, t):
        return self._answer("weight", t, 1 / t)

    def inverse(self, alpha):
        return self._answer("inverse", alpha, 1 - alpha)

    def timesteps(self, steps, spacing="uniform"):
        grid = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        return self._answer("timesteps", grid, grid)


def _raises(t, plain):
    raise KeyError("gone")


FAULTS = {
    "misses its end": ("alpha", lambda t, a: 1 - t / 2, "alpha\\(1\\) is 0.5"),
    "misses its start": ("alpha", lambda t, a: 0.99 * a, "alpha\\(0\\) is 0.99"),
    "never falls": ("alpha", lambda t, a: torch.ones_like(t), "alpha\\(1\\) is 1"),
    "rises": ("alpha", lambda t, a: a + 0.4 * (6.3 * t).sin() * (t < 0.97), "alpha rises from"),
    "is not a number": ("alpha", lambda t, a: a.where(t < 0.7, torch.nan), "alpha is nan at"),
    "has one entry": ("alpha", lambda t, a: a.reshape(-1)[:1], "alpha gives .* of shape \\(1,\\)"),
    "is single": ("alpha", lambda t, a: a.float(), "alpha gives torch.float32"),
    "is a number": ("alpha", lambda t, a: 0.5, "alpha gives a float"),
    "draws": ("alpha", lambda t, a: a * (1 - 1e-6 * torch.rand(())), "differs between two calls"),
    "looks around": (
        "alpha",
        lambda t, a: a - 1e-3 * a * t * t.mean(),
        "depends on what else is asked",
    ),
    "raises": ("alpha", _raises, "alpha raised KeyError: 'gone'"),
    "another slope": ("alpha_prime", lambda t, s: 2 * t * s, "-alpha_prime is not the slope"),
    "half a slope": ("alpha_prime", lambda t, s: s / 2, "get 0.5 of L ln V"),
    "half a weight": ("weight", lambda t, w: w / 2, "get 0.5 of L ln V"),
    "another weight": ("weight", lambda t, w: 2 + 0 * w, "weight times mask_rate is not the slope"),
    "negative weight": ("weight", lambda t, w: w * (1.5 - 4 * (t - 0.5).abs()), "expected 0 or"),
    "another rate": ("mask_rate", lambda t, r: r * r, "mask_rate is not 1 - alpha"),
    "another inverse": ("inverse", lambda a, t: t * t, "alpha\\(inverse\\(a\\)\\) differs"),
    "inverse beyond": ("inverse", lambda a, t: t + 1, "outside of \\[0, 1\\]"),
    "grid the other way": ("timesteps", lambda g, _: g.flip(0), "fall from 1 to 0"),
    "grid from below 1": ("timesteps", lambda g, _: 0.9 * g, "fall from 1 to 0"),
    "grid to above 0": ("timesteps", lambda g, _: 0.1 + 0.9 * g, "fall from 1 to 0"),
    "grid that rests": ("timesteps", lambda g, _: g.where(g != 0.5, 0.375), "fall from 1 to 0"),
    "a little less weight": ("weight", lambda t, w: 0.996 * w, "get 0.996 of L ln V"),
    "a little less slope": ("alpha_prime", lambda t, s: 0.996 * s, "get 0.996 of L ln V"),
    "short grid": ("timesteps", lambda g, _: g[:3], "timesteps gives"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_makes_no_bound_is_told(what):
    """Fault N3: alpha that is no number, of another shape or type, that rises or misses an end.

    And the like in every other method that estimators and samplers ask.
    """
    of, bend, problem = FAULTS[what]
    assert fault(Bent(), SMALLEST) is None
    with pytest.raises(ValueError, match=problem):
        raise ValueError(fault(Bent(bend, of), SMALLEST))


@frozen
class Step(NoiseScheduler):
    """Whose default is sound, and other values of it are not."""

    k: float = 2.0

    def alpha(self, t):
        return 1 - t**self.k if self.k < 3 else 1 - 0 * t


UNSOUND = [
    LinearSigma(sigma_max=1.0),
    LinearSigma(sigma_max=0.1),
    LinearSigma(sigma_max=1e-300),
    LogLinear(eps=0.5),
    Polynomial(exponent=1e-6),
    Step(k=3.0),
]


@pytest.mark.parametrize("schedule", UNSOUND, ids=str)
def test_values_of_which_the_bound_is_too_small_are_refused(schedule):
    """Fault N1: some of the loss lies where no time is drawn, or behind the ends of alpha.

    It is no mere matter of form: the estimates are off by more than their standard errors say.
    """
    assert fault(schedule, SMALLEST)
    with pytest.raises(AssertionError, match="of L ln V"):
        assert_ignorance(schedule, rows=2**14)


@pytest.mark.parametrize(
    "schedule",
    [LinearSigma(sigma_max=40.0), LogLinear(1.1e-3), Polynomial(0.6), Polynomial(100.0)],
    ids=str,
)
def test_so_are_values_of_which_it_is_a_little_too_small(schedule):
    """Fault N1: by more than few draws would show, or met by too few of them."""
    assert fault(schedule, SMALLEST)


@pytest.mark.parametrize(
    "schedule",
    [LinearSigma(sigma_max=7.0), LinearSigma(sigma_max=30.0), LogLinear(0.0), Polynomial(0.65)],
    ids=str,
)
def test_values_of_which_it_is_not_stay_usable(schedule):
    assert fault(schedule, SMALLEST) is None
    assert_ignorance(schedule)


def test_a_smaller_first_time_serves_what_falls_early():
    """The words of the refusal name it, and it helps."""
    assert "a smaller diffusion.time_epsilon" in fault(Polynomial(0.5), 1e-4)
    assert fault(Polynomial(0.5), 5e-6) is None


def plugged(**offered):
    """The installed components, and some of a distribution of its own."""
    registry = Registry.discover()
    hooks = {hook: aios_core.hookimpl(lambda c=c: c) for hook, c in offered.items()}
    plugin = SimpleNamespace(AIOS_API=1, __name__="x", **hooks)
    registry.add(plugin, distribution="x-step", version="0.1")
    return registry


def test_a_configuration_of_it_is_refused():
    """Fault N2: a plugin whose defaults keep every contract, under other values."""
    registry = plugged(aios_noise_schedulers={"step": Step})
    assert resolve({"noise": {"type": "step"}}, registry=registry).config.noise == Step()
    with pytest.raises(ConfigError) as refused:
        resolve({"noise": {"type": "step", "k": 3.0}}, registry=registry)
    message = str(refused.value)
    assert "noise step of x-step 0.1 (k=3.0): alpha(1) is 1; expected 0" in message
    resolve({"mode": "ar", "noise": {"type": "step", "k": 3.0}}, registry=registry)


def test_a_schedule_is_refused_for_what_it_has_learned():
    """Fault N3: one that learns is looked at when it is read, whatever it was at its start."""
    from aios_core.diffusion.soundness import check_learned

    schedule = Learned(bins=4)
    built = schedule.build()
    check_learned(schedule, built, SMALLEST)
    with torch.no_grad():
        built.logits[0] = torch.nan
    with pytest.raises(PluginError, match="learned to be: alpha"):
        check_learned(schedule, built, SMALLEST)


@frozen
class Odd(Corruption):
    """Uniform noise, but for what a function makes of it."""

    bend: object = None
    absorbing: bool = False

    def noise(self, alpha, vocabulary):
        return self.bend(Uniform().noise(alpha, vocabulary))


ODD = {
    "not a number": (lambda n: n * torch.nan, False, "is not a distribution"),
    "not normalised": (lambda n: n / 2, False, "is not a distribution"),
    "another shape": (lambda n: n[..., :-1], False, "expected torch.float64 of shape"),
    "single": (lambda n: n.float(), False, "torch.float32"),
    "no masks": (lambda n: n, True, "absorbing is True"),
    "raises": (lambda n: n[10**6], False, "noise raised IndexError"),
}


@pytest.mark.parametrize("what", ODD)
def test_no_corruption(what):
    """Fault N17: what a corruption returns is checked before a network is made with it."""
    bend, absorbing, problem = ODD[what]
    with pytest.raises(PluginError, match=problem) as caught:
        check(Odd(bend, absorbing))
    assert "Odd" in str(caught.value)


@pytest.mark.parametrize("share", [1e-9, 0.1, 0.5, 0.999])
def test_every_share_of_uniform_noise_is_a_bound(share):
    """Fault N1: also under other noise than masks."""
    check(Hybrid(uniform=share))


@pytest.mark.parametrize("corruption", [Uniform(), Hybrid()])
def test_ignorance_under_other_noise(corruption):
    """T5: a predictor that knows nothing has L ln V."""
    from aios_core.diffusion.objective import nelbo
    from aios_core.diffusion.times import draw_times
    from aios_core.testing.oracle import ignorant

    rows = 4096
    x0 = torch.arange(4).expand(rows, -1) % 3
    times = draw_times(rows, torch.Generator().manual_seed(0))
    nats = nelbo(ignorant(LogLinear(), corruption), whole(x0), times, streams(x0))
    error = float(nats.std()) / rows**0.5
    expected = 4 * torch.tensor(3.0).log()
    assert abs(float(nats.mean() - expected)) < 4 * error + 5e-3


def test_a_network_is_not_made_with_it():
    """Fault N17: so that no run of it begins."""
    registry = plugged(aios_corruptions={"odd": frozen(type("Half", (Odd,), {"bend": None}))})
    config = resolve({}, registry=registry).config
    odd = Odd(lambda noise: noise / 2)
    object.__setattr__(config, "corruption", odd)
    object.__setattr__(config, "sampler", attrs.evolve(config.sampler))
    with pytest.raises(PluginError, match="not a distribution"):
        Model.build(config, VOCABULARY)


def test_components_have_names():
    """Fault N17: of what a registry has loaded, whatever instance of it."""
    registry = plugged(aios_noise_schedulers={"step": Step})
    registry.get("noise", "step").load()
    assert "noise step of x-step 0.1" == named(Step(k=1.0))
    assert "noise step of x-step 0.1 (k=1.0)" == described(Step(k=1.0))
    assert named(Odd(None)).endswith("test_soundness.Odd")
