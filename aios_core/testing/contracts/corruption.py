"""What every corruption must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.testing import assert_close

from aios_core.contracts import Continuous, Vocabulary
from aios_core.diffusion.process import DiscreteProcess, process_of
from aios_core.diffusion.random import RowRandom
from aios_core.testing.contracts.base import Contract, expect
from aios_core.testing.oracle import NoisyOracle

if TYPE_CHECKING:
    from aios_core.contracts import Corruption

VOCABULARY = Vocabulary(size=7, mask_id=3, pad_id=4, bos_id=5, eos_id=6)


class CorruptionContract(Contract["Corruption"]):
    """Subclass it and set ``component``: a corruption's class, or one that is built."""

    numbers: ClassVar = "aios_core.testing.contracts.numbers:NumberCorruptionContract"

    varied: ClassVar = {
        "test_noise_is_a_distribution": {"shape": (3,)},
        "test_tells_whether_it_is_absorbing": {},
        "test_noise_is_only_ever_added": {},
        "test_posterior_is_bayes_rule": {},
    }

    @classmethod
    def try_out(cls, plugin: Corruption) -> None:
        """Noise is a tensor."""
        expect(plugin.noise(_alphas(), VOCABULARY), Tensor, "noise")

    @pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
    def test_noise_is_a_distribution(self, instance: Corruption, shape: tuple[int, ...]) -> None:
        """Elementwise in float64, at both ends and between."""
        for level in (0.0, 0.3, 1.0):
            noise = instance.noise(torch.full(shape, level, dtype=torch.float64), VOCABULARY)
            assert (*shape, VOCABULARY.size) == tuple(noise.shape)
            assert torch.float64 == noise.dtype
            assert (noise >= 0).all(), f"a probability is below 0 at alpha {level}"
            assert_close(noise.sum(-1), torch.ones(shape, dtype=torch.float64))

    def test_tells_whether_it_is_absorbing(self, instance: Corruption) -> None:
        """T12: on the word of ``absorbing`` everything that is not a mask is taken for clean."""
        noise = instance.noise(_alphas(), VOCABULARY)
        masks = one_hot(torch.tensor(VOCABULARY.mask_id), VOCABULARY.size).double()
        assert instance.absorbing == torch.equal(noise, masks.expand_as(noise))

    def test_noise_is_only_ever_added(self, instance: Corruption) -> None:
        """No token's odds fall while alpha does, so that a process leads from level to level."""
        alpha = _alphas()
        odds = ((1 - alpha) / alpha)[:, None] * instance.noise(alpha, VOCABULARY)
        fallen = (odds.diff(dim=0) < -1e-12).any(0).nonzero()[:, 0].tolist()
        assert not fallen, f"tokens {fallen} turn clean again as alpha falls"

    @pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 0.9, 1.0])
    def test_corrupts_by_its_marginal(self, instance: Corruption, alpha: float) -> None:
        """A token survives with probability alpha, and is noise otherwise."""
        rows, clean = 20_000, torch.tensor([0, 1, 2, 6])
        x0 = clean.expand(rows, -1).contiguous()
        level = torch.full((rows,), alpha, dtype=torch.float64)
        process = DiscreteProcess(instance, VOCABULARY)
        z = process.corrupt(x0, level, RowRandom.numbered(0, range(rows), 4))
        assert torch.equal(clean.expand(rows, -1), x0), "the clean tokens were overwritten"
        assert (x0.shape, torch.int64) == (z.shape, z.dtype)
        expected = alpha * one_hot(clean, 7) + process.mass(level[:1])
        assert_close(one_hot(z, 7).double().mean(0), expected, atol=0.015, rtol=0)

    def test_process_is_of_the_space(self, instance: Corruption) -> None:
        """It has one on tokens; on numbers too, or none."""
        assert process_of(instance, VOCABULARY).space == VOCABULARY
        numbers = instance.process(Continuous(channels=3))
        assert numbers is None or numbers.space == Continuous(channels=3)

    def test_corruption_is_seeded(self, instance: Corruption) -> None:
        """The streams that are passed are the only source of noise."""
        process = DiscreteProcess(instance, VOCABULARY)
        x0, half = torch.zeros(8, 64, dtype=torch.int64), torch.full((8,), 0.5).double()
        first, again, other = (
            process.corrupt(x0, half, RowRandom.numbered(seed, range(8), 64)) for seed in (0, 0, 1)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_prior_is_noise_at_its_end(self, instance: Corruption) -> None:
        """What sampling starts from is what nothing survives in."""
        process = DiscreteProcess(instance, VOCABULARY)
        u = (torch.arange(70_000, dtype=torch.float64) + 0.5) / 70_000
        shares = one_hot(process.prior(u), 7).double().mean(0)
        assert_close(shares, process.mass(torch.zeros(())), atol=1e-4, rtol=0)

    def test_posterior_is_bayes_rule(self, instance: Corruption) -> None:
        """T21: the routes of a reverse step add up to 1, and to q(y | x0) q(z | y) / q(z | x0)."""
        process = DiscreteProcess(instance, VOCABULARY)
        alpha, earlier = torch.tensor([0.3]).double(), torch.tensor([0.7]).double()
        now, before = process.mass(alpha)[0], process.mass(earlier)[0]
        survival = alpha / earlier
        forward = survival * torch.eye(7) + (now - survival * before)  # from y to z
        assert (forward >= -1e-12).all(), "not a step of a process"
        for x in (0, 1, 2, 6):
            marginal = earlier * one_hot(torch.tensor(x), 7) + before
            expected = marginal[:, None] * forward
            seen = expected.sum(0)
            z = (seen > 0).nonzero()[:, 0]
            routes = process.posterior(z[None], torch.full_like(z, x)[None], alpha, earlier)
            assert_close(sum(routes), torch.ones(1, len(z)).double())
            together = (
                routes[0][0] * one_hot(z, 7).T + routes[1][0] * one_hot(torch.tensor(x), 7)[:, None]
            )
            together = together + routes[2][0] * (before / (1 - earlier))[:, None]
            assert_close(together, (expected / seen)[:, z])

    def test_bound_is_the_likelihood(self, instance: Corruption) -> None:
        """T1: with a perfect prediction the bound is -log p(x), for every text."""
        from aios_core.testing.contracts.sampler import Linear

        oracle = NoisyOracle(instance, Linear(), length=3)
        texts, n = oracle.texts, 200
        bound = torch.zeros(len(texts), dtype=torch.float64)
        states = torch.cartesian_prod(*[torch.arange(4)] * 3)
        for number in range(n):
            u = torch.tensor((number + 0.5) / n, dtype=torch.float64)
            t, dt = u * u * (3 - 2 * u), 6 * u * (1 - u) / n
            q = oracle.likelihood(1 - t)[states[:, None], texts].prod(-1)  # (states, texts)
            at, of = (q > 0).nonzero(as_tuple=True)
            level = (1 - t).expand(len(at))
            losses = oracle.process.integrand(
                states[at], texts[of], oracle.table(float(t))[at], level, -torch.ones_like(level)
            )
            bound.index_add_(0, of, dt * q[at, of] * losses.sum(-1))
        assert_close(bound, -oracle.log_joint, atol=2e-3, rtol=0)


def _alphas() -> Tensor:
    return torch.linspace(0.999, 0.001, 200, dtype=torch.float64)
