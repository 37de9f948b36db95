"""What every noise schedule must do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import attrs
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torch.testing import assert_close

from aios_core.config.schema import DiffusionConfig
from aios_core.contracts import Sequences
from aios_core.contracts.noise import Spacing
from aios_core.contracts.soundness import UNSEEN, fault
from aios_core.diffusion.bounds import Bound, CountBound, ScoreEntropy, StepBound
from aios_core.diffusion.objective import estimate
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times
from aios_core.testing.contracts.base import Contract, expect
from aios_core.testing.oracle import Oracle, ignorant
from aios_core.testing.values import components

if TYPE_CHECKING:
    from aios_core.contracts import NoiseScheduler


class NoiseContract(Contract["NoiseScheduler"]):
    """Subclass it and set ``component``: a schedule's class, or one that is built."""

    epsilon: ClassVar[float] = DiffusionConfig().time_epsilon
    """The smallest time that is drawn; less than the default serves what falls at once."""

    varied: ClassVar = {"test_is_elementwise_in_float64": {"shape": (2, 3)}}

    @classmethod
    def try_out(cls, plugin: NoiseScheduler) -> None:
        """Its answers are tensors of the shape and type of the question."""
        for method in (plugin.alpha, plugin.mask_rate):
            answer = expect(method(_times(0, 1, 3)), Tensor, f"{method.__name__}(t)")
            kind = answer.dtype, tuple(answer.shape)
            assert kind == (torch.float64, (3,)), (
                f"{method.__name__}(t) gives {kind[0]} of shape {kind[1]}; expected torch.float64 "
                "of the shape of t, here (3,)"
            )

    def holds(self, plugin: Any, request: pytest.FixtureRequest) -> None:
        """Of values that a run would not refuse."""
        if fault(plugin, self.epsilon) is None:
            super().holds(plugin, request)

    def test_starts_clean_and_ends_as_noise(self, instance: NoiseScheduler) -> None:
        """From almost 1 to almost 0, for sampling starts from masks alone."""
        first, last = instance.alpha(_times(0, 1, 2)).tolist()
        assert 1 - 1e-3 <= first <= 1, f"alpha(0) is {first}; expected 1, or at least 0.999"
        assert 0 <= last <= 1.001e-3, f"alpha(1) is {last}; expected 0, or at most 0.001"

    def test_decreases(self, instance: NoiseScheduler) -> None:
        """T2: alpha falls with t and stays in [0, 1]."""
        alpha = instance.alpha(_times(0, 1, 1001))
        assert ((alpha >= 0) & (alpha <= 1)).all(), "alpha leaves [0, 1]"
        assert (alpha.diff() <= 0).all(), "alpha rises somewhere"
        assert (alpha[::100].diff() < 0).all(), "alpha does not fall everywhere"

    @pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
    def test_is_elementwise_in_float64(
        self, instance: NoiseScheduler, shape: tuple[int, ...]
    ) -> None:
        """The answer has the shape of the question."""
        t = torch.full(shape, 0.25, dtype=torch.float64)
        for method in (
            instance.alpha,
            instance.alpha_prime,
            instance.inverse,
            instance.mask_rate,
            instance.sigma,
            instance.weight,
            instance.signal,
            instance.noise,
        ):
            answer = method(t)
            assert shape == tuple(answer.shape), f"{method.__name__}: shape {answer.shape}"
            assert torch.float64 == answer.dtype, f"{method.__name__}: {answer.dtype}"
            assert answer.isfinite().all(), f"{method.__name__}(0.25) is {answer}"

    def test_slope(self, instance: NoiseScheduler) -> None:
        """T2: alpha_prime is the slope that automatic differentiation finds, in any grad mode."""
        t = _times(0.01, 0.99, 99)
        slope = _slope(instance.alpha, t)
        assert_close(instance.alpha_prime(t), slope, rtol=1e-9, atol=1e-12)
        with torch.inference_mode():
            assert_close(instance.alpha_prime(t.clone()), slope, rtol=1e-9, atol=1e-12)

    def test_weight(self, instance: NoiseScheduler) -> None:
        """T2: the NELBO weight is sigma' / (exp(sigma) - 1), the form of score entropy."""
        t = _times(0.01, 0.99, 99)
        expected = _slope(instance.sigma, t) / torch.expm1(instance.sigma(t))
        assert_close(instance.weight(t), expected, rtol=1e-8, atol=1e-12)

    def test_forms_agree(self, instance: NoiseScheduler) -> None:
        """The mask rate, sigma and the Gaussian scales all say the same as alpha."""
        t = _times(0.01, 0.99, 99)
        alpha = instance.alpha(t)
        assert_close(instance.mask_rate(t), 1 - alpha, rtol=1e-9, atol=1e-12)
        assert_close(instance.sigma(t), -alpha.log(), rtol=1e-9, atol=1e-12)
        assert_close(instance.signal(t).square(), alpha, rtol=1e-9, atol=1e-12)
        assert_close(instance.noise(t).square(), 1 - alpha, rtol=1e-9, atol=1e-12)

    def test_inverse(self, instance: NoiseScheduler) -> None:
        """T2: alpha(inverse(a)) is a; beyond the ends the answer is the nearer end."""
        high, low = instance.alpha(_times(0, 1, 2))
        alpha = low + (high - low) * _times(0, 1, 101)
        t = instance.inverse(alpha)
        assert ((t >= 0) & (t <= 1)).all(), "a time leaves [0, 1]"
        assert_close(instance.alpha(t), alpha, rtol=0, atol=1e-9)
        ends = instance.alpha(instance.inverse(torch.tensor([1.0, 0.0], dtype=torch.float64)))
        assert_close(ends, torch.stack((high, low)), rtol=0, atol=1e-9)

    @pytest.mark.parametrize("spacing", get_args(Spacing))
    @pytest.mark.parametrize("steps", [1, 2, 7, 64])
    def test_timesteps(self, instance: NoiseScheduler, steps: int, spacing: Spacing) -> None:
        """From exactly 1 strictly down to exactly 0."""
        grid = instance.timesteps(steps, spacing)
        assert steps + 1 == len(grid)
        assert grid[0] == 1
        assert grid[-1] == 0
        assert (grid.diff() < 0).all(), "the time does not fall"

    def test_is_sound(self, instance: NoiseScheduler) -> None:
        """A run of it is not refused, nor one of what it builds."""
        for schedule in (instance, instance.build()):
            problem = fault(schedule, self.epsilon)
            assert problem is None, problem

    def test_whatever_its_fields_it_makes_a_bound_or_is_refused(
        self, instance: NoiseScheduler
    ) -> None:
        """T5: a predictor that knows nothing gets L ln V, by each way to estimate the bound."""
        assert_ignorance(instance, self.epsilon)
        if not attrs.has(type(instance)):
            return  # what a schedule builds has no fields to vary

        @settings(deadline=None, max_examples=15, database=None)
        @given(components(type(instance)))
        def check(schedule: NoiseScheduler) -> None:
            if fault(schedule, self.epsilon) is None:
                assert_ignorance(schedule, self.epsilon)

        check()

    def test_nelbo_is_the_likelihood(self, instance: NoiseScheduler) -> None:
        """T1: with a perfect denoiser the bound is -log p(x), whatever the schedule."""
        oracle = Oracle()
        u = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
        # A smooth step from 0 to 1 whose slope vanishes at both ends: schedules may be steep there.
        t = u**4 * (35 - 84 * u + 70 * u**2 - 20 * u**3)
        dt = 140 * u**3 * (1 - u) ** 3 / 4000
        bound = _integrate(oracle, instance.mask_rate(t), instance.weight(t) * dt)
        # What the schedule leaves out: mask rates below mask_rate(0), and above mask_rate(1).
        first, last = instance.mask_rate(_times(0, 1, 2))
        bound += _integrate(oracle, first * u, 1 / u / 4000)
        above = last + (1 - last) * u
        bound += _integrate(oracle, above, (1 - last) / above / 4000)
        assert_close(bound, -oracle.log_joint, rtol=0, atol=5e-6)


def assert_ignorance(
    schedule: NoiseScheduler, epsilon: float = DiffusionConfig().time_epsilon, *, rows: int = 2048
) -> None:
    """Draws of the bound of a predictor that knows nothing have the mean L ln V.

    Within four standard errors, and what a sound schedule may leave out.

    Args:
        schedule: that is not refused.
        epsilon: the smallest time.
        rows: draws.
    """
    vocab, length = 3, 4
    model = ignorant(schedule, vocab=vocab, length=length)
    x0 = torch.arange(length).expand(rows, -1) % vocab
    sequences = Sequences(x0, torch.ones_like(x0, dtype=torch.bool))
    for number, objective in enumerate((Bound(), ScoreEntropy(), CountBound(), _Thousand())):
        generator = torch.Generator().manual_seed(number)
        times = draw_times(rows, generator, epsilon=epsilon)
        random = RowRandom.numbered(number, range(rows), length)
        nats = estimate(model, sequences, times, random, objective=objective).double()
        nats = nats / (length * math.log(vocab))
        error = float(nats.std()) / math.sqrt(rows)
        off = abs(float(nats.mean()) - 1)
        assert off <= 4 * error + UNSEEN, (
            f"{schedule}: a predictor that knows nothing gets {float(nats.mean()):.6g} of "
            f"L ln V by {type(objective).__name__}, with a standard error of {error:.2g}"
        )


class _Thousand(StepBound):
    steps = 1000


def _times(start: float, end: float, count: int) -> Tensor:
    return torch.linspace(start, end, count, dtype=torch.float64)


def _slope(function: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    t = t.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(t).sum(), t)
    return slope


def _integrate(oracle: Oracle, rate: Tensor, weight: Tensor) -> Tensor:
    """Sum over times of weight * E[cross-entropy of the masked tokens], for every text: (V**L,)."""
    loss = oracle.masked_loss()
    k = torch.arange(oracle.length + 1)
    chance = rate[:, None] ** k * (1 - rate[:, None]) ** (oracle.length - k)  # of one set of k
    return loss @ (weight[:, None] * chance).sum(0)
