"""Samplers of numbers, against what can be said exactly: a Gaussian, and points."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from aios_core.contracts import Continuous, SamplingContext
from aios_core.contracts.denoising import states
from aios_core.diffusion.random import RowRandom
from aios_core.testing.normal import NormalOracle
from aios_plugins.corruptions.gaussian import Gaussian
from aios_plugins.noise.cosine_squared import CosineSquared
from aios_plugins.noise.flow import Flow
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.ddim import DDIM
from aios_plugins.samplers.dpmpp_2m import DPMpp2M
from aios_plugins.samplers.heun import Heun

MEAN, DEVIATION = NormalOracle.mean, NormalOracle.deviation


class Even(Flow):
    """`Flow` at times whose log(signal / noise) are evenly spread between the ends."""

    def timesteps(self, steps, spacing="uniform"):
        ratio = torch.linspace(-7, 7, steps - 1, dtype=torch.float64)
        inner = self.inverse(torch.sigmoid(2 * ratio))
        return torch.cat((torch.ones(1), inner, torch.zeros(1))).double()


def run(sampler, noise, shape=(1, 1, 1), *, fixed=None, x=None):
    rows, length, channels = shape
    process = Gaussian().process(Continuous(channels))
    random = RowRandom(range(rows), length)
    if x is None:
        x = process.prior(random.fork(7).uniform(channels))
    fixed = torch.zeros(rows, length, dtype=torch.bool) if fixed is None else fixed
    context = SamplingContext(noise=noise, mask_id=-1, fixed=fixed, random=random, process=process)
    denoiser = NormalOracle(noise)
    *_, last = states(sampler.denoise(x, context), x, denoiser)
    return x, last, denoiser.nfe


def error(sampler, noise):
    """Of where one state ends, to where the exact flow takes it."""
    x, last, _ = run(sampler, noise)
    return float((last - (MEAN + DEVIATION * x)).abs())


@pytest.mark.parametrize("noise", [Flow(), CosineSquared(eps=0.0)], ids=["flow", "cosine-squared"])
@pytest.mark.parametrize(("of", "order"), [(DDIM, 1), (Heun, 2)])
def test_errors_fall_by_the_order(noise, of, order):
    """M24; on schedules whose scales are smooth in time, as sqrt(sin t) of ``cosine`` is not."""
    far = [error(of(steps=steps), noise) for steps in (32, 64, 128)]
    assert all(abs(math.log2(a / b) - order) < 0.25 for a, b in pairwise(far)), far


def test_two_steps_in_memory_are_of_second_order():
    """M24: in even steps of log(signal / noise); the ends are one step of any length."""
    far = [error(DPMpp2M(steps=steps), Even()) for steps in (34, 66, 130)]
    first = [error(DDIM(steps=steps), Even()) for steps in (34, 66, 130)]
    assert all(math.log2(a / b) > 1.8 for a, b in pairwise(far)), far
    assert all(a < b / 3 for a, b in zip(far, first, strict=True))


def test_ddim_is_euler_on_the_straight_path():
    """M24: to rounding."""
    sampler, noise = DDIM(steps=16), Flow()
    x, last, _ = run(sampler, noise, (4, 3, 2))
    model, state, grid = NormalOracle(noise), x, noise.timesteps(16)
    for t, s in pairwise(grid):  # at t = 1 the two are the same number
        clean = model(state / (1 - t).hypot(t), t.expand(4))
        state = state + (s - t) * (state - clean) / t
    torch.testing.assert_close(last, state, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("sampler", "calls"),
    [(DDIM(steps=9), 9), (Ancestral(steps=9), 9), (Heun(steps=9), 17), (DPMpp2M(steps=9), 9)],
)
def test_calls_of_the_network(sampler, calls):
    assert calls == run(sampler, Flow())[2]


@pytest.mark.parametrize("of", [DDIM, Ancestral, Heun, DPMpp2M])
def test_samples_have_the_distribution(of):
    _, last, _ = run(of(steps=200), Flow(), (4000, 1, 1))
    assert abs(float(last.mean()) - MEAN) < 5 * DEVIATION / math.sqrt(4000)
    assert abs(float(last.std()) / DEVIATION - 1) < 0.06


@pytest.mark.parametrize("of", [DDIM, Ancestral, Heun, DPMpp2M])
def test_one_step_is_the_mean(of):
    _, last, calls = run(of(steps=1), Flow(), (3, 1, 1))
    assert calls == 1
    torch.testing.assert_close(last, torch.full_like(last, MEAN))


@pytest.mark.parametrize("of", [DDIM, Ancestral, Heun, DPMpp2M])
def test_what_is_given_stays_to_the_bit(of):
    """M23."""
    x = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    fixed = torch.tensor([[True, False, True, False], [False, False, True, True]])
    _, last, _ = run(of(steps=5), Flow(), (2, 4, 3), fixed=fixed, x=x.clone())
    assert torch.equal(x[fixed], last[fixed])
    assert not (x[~fixed] == last[~fixed]).any()


@pytest.mark.parametrize("of", [DDIM, Ancestral, Heun, DPMpp2M])
def test_a_row_depends_on_its_seed_alone(of):
    """M22."""
    _, alone, _ = run(of(steps=4), Flow(), (1, 3, 2))
    _, among, _ = run(of(steps=4), Flow(), (5, 3, 2))
    assert torch.equal(alone[0], among[0])
