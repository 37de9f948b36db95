"""The mathematics of corruptions, against enumeration and against published closed forms."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from attrs import evolve
from torch.nn.functional import one_hot

from aios_core.contracts import Vocabulary
from aios_core.diffusion.process import DiscreteProcess, levels, lift
from aios_core.diffusion.random import RowRandom
from aios_core.testing.contracts.sampler import context
from aios_core.testing.oracle import NoisyOracle, Oracle
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.corruptions.hybrid import Hybrid
from aios_plugins.corruptions.uniform import Uniform
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.noise.md4_clipped import MD4Clipped

K = 5
ORACLE = Oracle()
VOCABULARY = Vocabulary(size=K, mask_id=K - 1, pad_id=0, bos_id=0, eos_id=0)
CORRUPTIONS = [Absorbing(), Uniform(), Hybrid(), Hybrid(uniform=0.5)]
corruptions = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=repr)


def prediction(rows, seed=0):
    """Log-probabilities (rows, 1, K), of the mask none."""
    logits = torch.randn(rows, 1, K, generator=torch.Generator().manual_seed(seed)).double()
    logits[..., -1] = -torch.inf
    return logits.log_softmax(-1)


def pairs(process, alpha):
    """All states z and clean tokens x0 that go together, (N, 1) each."""
    z, x0 = torch.cartesian_prod(torch.arange(K), torch.arange(K - 1)).unbind(1)
    possible = alpha * (z == x0) + process.mass(alpha)[z] > 0
    return z[possible][:, None], x0[possible][:, None]


def odds(process, alpha):
    return process.mass(alpha) / alpha


@corruptions
@pytest.mark.parametrize("level", [0.02, 0.4, 0.97])
def test_integrand_is_the_relative_entropy_of_the_rates(corruption, level):
    """T21: the sum over other states of r' - r + r log(r / r'), written out."""
    process, slope = DiscreteProcess(corruption, VOCABULARY), -0.7
    alpha = torch.tensor(level, dtype=torch.float64)
    rise = torch.autograd.functional.jacobian(lambda a: odds(process, a), alpha) * slope
    z, x0 = pairs(process, alpha)
    log_probs = prediction(len(z))
    result = process.integrand(
        z, x0, log_probs, alpha.expand(len(z)), torch.full((len(z),), slope).double()
    )
    for i in range(len(z)):
        at, total = int(z[i]), 0.0
        q = one_hot(x0[i, 0], K) + odds(process, alpha)
        model = log_probs[i, 0].exp() + odds(process, alpha)
        for y in range(K):
            r, hat = (alpha * rise[at] * each[y] / each[at] for each in (q, model))
            if y != at and hat > 0:
                total += float(hat - r + torch.xlogy(r, r) - torch.xlogy(r, hat))
        assert pytest.approx(total, rel=1e-7, abs=1e-12) == float(result[i])


def test_integrand_of_masks_is_cross_entropy():
    """MDLM's equation 10: -alpha' / (1 - alpha) times -log p, at masks."""
    process, n = DiscreteProcess(Absorbing(), VOCABULARY), 4
    z, x0 = torch.tensor([[4], [4], [1], [4]]), torch.tensor([[0], [1], [1], [3]])
    log_probs, alpha = prediction(n), torch.linspace(0.1, 0.9, n).double()
    result = process.integrand(z, x0, log_probs, alpha, torch.full((n,), -2.0).double())
    expected = -2 / (1 - alpha) * log_probs[:, 0].gather(1, x0)[:, 0]
    torch.testing.assert_close(result[:, 0], torch.where(z[:, 0] == 4, expected, 0))


def test_integrand_of_uniform_noise_is_udlm():
    """The closed form of UDLM (arXiv 2412.10193, eq. 18), with xbar = K alpha x + 1 - alpha."""
    process, alpha, slope = (
        DiscreteProcess(Uniform(), VOCABULARY),
        torch.tensor(0.35).double(),
        -1.3,
    )
    tokens = K - 1
    z, x0 = pairs(process, alpha)
    log_probs = prediction(len(z))
    result = process.integrand(
        z, x0, log_probs, alpha.expand(len(z)), torch.full((len(z),), slope).double()
    )
    truth, model = (
        tokens * alpha * each[:, :tokens] + 1 - alpha
        for each in (one_hot(x0[:, 0], K).double(), log_probs[:, 0].exp())
    )
    at_z, model_at_z = truth.gather(1, z), model.gather(1, z)
    ratio = truth / at_z
    inner = (ratio * (model_at_z / model * ratio).log()).sum(1, keepdim=True)
    expected = slope / (tokens * alpha) * (tokens / at_z - tokens / model_at_z - inner)
    torch.testing.assert_close(result, expected)


@corruptions
def test_step_loss_is_the_relative_entropy_of_the_posteriors(corruption):
    """D3PM: KL(q(y | z, x0) | sum over x of p(x) q(y | z, x)), written out."""
    process = DiscreteProcess(corruption, VOCABULARY)
    for level, before in ((0.3, 0.6), (0.0, 0.2), (0.7, 1.0)):
        alpha, earlier = (torch.tensor(each, dtype=torch.float64) for each in (level, before))
        z, x0 = pairs(process, alpha)
        log_probs = prediction(len(z))
        if corruption.absorbing:  # a prediction knows what is clean
            clean = z[:, 0] != K - 1
            log_probs[clean, 0] = one_hot(x0[clean, 0], K).double().log()
        result = process.step_loss(z, x0, log_probs, alpha.expand(len(z)), earlier.expand(len(z)))
        survival = alpha / earlier
        forward = survival * torch.eye(K) + process.mass(alpha) - survival * process.mass(earlier)
        for i in range(len(z)):
            q, model = (
                (earlier * each + process.mass(earlier)) * forward[:, int(z[i])]
                for each in (one_hot(x0[i, 0], K), log_probs[i, 0].exp())
            )
            q, model = q / q.sum(), model / model.sum()
            expected = float((torch.xlogy(q, q) - torch.xlogy(q, model)).sum())
            assert pytest.approx(expected, rel=1e-7, abs=1e-12) == float(result[i])


@corruptions
def test_many_steps_are_continuous_time(corruption):
    """D3PM's loss of a short step over its length is the integrand."""
    process, alpha, h = DiscreteProcess(corruption, VOCABULARY), torch.tensor(0.4).double(), 1e-5
    z, x0 = pairs(process, alpha)
    log_probs = prediction(len(z))
    short = process.step_loss(z, x0, log_probs, alpha.expand(len(z)), (alpha + h).expand(len(z)))
    slope = torch.full((len(z),), -1.0).double()
    rates = process.integrand(z, x0, log_probs, alpha.expand(len(z)), slope)
    torch.testing.assert_close(short / h, rates, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("corruption", CORRUPTIONS[1:], ids=repr)
def test_losses_are_finite_at_the_ends(corruption):
    """In float32, with a prediction as sure and as wrong as can be; so are the gradients."""
    process = DiscreteProcess(corruption, VOCABULARY)
    for level in (0.0, 1e-9, 1 - 1e-12):
        alpha = torch.full((2,), level, dtype=torch.float64)
        z, x0 = torch.tensor([[1], [2]]), torch.tensor([[1], [1]])
        logits = torch.tensor([[[200.0, 0, 0, 0, -torch.inf]]] * 2, requires_grad=True)
        losses = process.integrand(
            z, x0, logits.log_softmax(-1), alpha, torch.full((2,), -1.0).double()
        )
        assert losses.isfinite().all(), losses
        losses.sum().backward()
        assert logits.grad[..., :-1].isfinite().all()


def test_clean_is_the_conditional_of_the_whole_state():
    oracle = NoisyOracle(Uniform(), LogLinear(eps=0.0), length=3)
    alpha = torch.tensor(0.4, dtype=torch.float64)
    states = torch.cartesian_prod(*[torch.arange(4)] * 3)
    seen = (states < 3).all(1)
    joint = oracle.likelihood(alpha)[states[:, None], oracle.texts].prod(-1)
    joint = joint[seen] * oracle.log_joint.exp()
    expected = torch.einsum("zx,xik->zik", joint, one_hot(oracle.texts, 4).double())
    expected /= joint.sum(1)[:, None, None]
    z = states[seen]
    bonus = oracle.process.evidence(z, alpha)[..., None].log1p()
    result = oracle.table(0.6)[seen].scatter_add(-1, z[..., None], bonus)
    torch.testing.assert_close(result.softmax(-1), expected)


@pytest.mark.parametrize("corruption", CORRUPTIONS[1:3], ids=repr)
def test_reverse_steps_lead_to_the_joint(corruption):
    """T3: the whole chain as matrices, without sampling; the error falls as 1 / steps."""
    noise, far, length = LogLinear(eps=0.0), [], 3
    oracle = NoisyOracle(corruption, noise, length=length)
    process = oracle.process
    states = torch.cartesian_prod(*[torch.arange(4)] * length)
    for steps in (16, 64, 256):
        state = process.mass(torch.zeros(()).double())[states].prod(-1)
        for t, s in itertools.pairwise(noise.timesteps(steps)):
            alpha, earlier = noise.alpha(t), noise.alpha(s)
            survival = alpha / earlier
            step = survival * torch.eye(4) + process.mass(alpha) - survival * process.mass(earlier)
            p = oracle.table(float(t)).exp()
            p = (earlier * p + process.mass(earlier)) * step.T[states]  # (states, L, y)
            p = (p / p.sum(-1, keepdim=True)).nan_to_num()
            moves = torch.stack(
                [p[:, i].gather(1, states[:, i].expand(len(states), -1)) for i in range(length)]
            )
            state = state @ moves.prod(0)
        far.append(float((state[(states < 3).all(1)] - oracle.log_joint.exp()).abs().sum() / 2))
    assert far[0] < 0.08
    assert pytest.approx(4, rel=0.2) == far[0] / far[1]
    assert pytest.approx(4, rel=0.2) == far[1] / far[2]


def test_nothing_is_noise_any_more_at_the_end_of_sampling():
    """Whatever the schedule says of t = 0: its own level there would leave noise in texts."""
    noise = MD4Clipped(eps=1e-3)
    around = context(ORACLE, ORACLE.prior(1), [0])
    around = evolve(around, noise=noise)
    t, s = (torch.tensor(number, dtype=torch.float64) for number in (0.4, 0.1))

    assert (float(noise.alpha(t)), float(noise.alpha(s))) == tuple(map(float, levels(t, s, around)))
    assert (float(noise.alpha(s)), 1.0) == tuple(map(float, levels(s, 0 * s, around)))


@pytest.mark.parametrize(("u", "lifted"), [(0.0, False), (0.24, False), (0.26, True)])
def test_a_mask_stays_by_the_share_of_masks_that_is_left(u, lifted, monkeypatch):
    """A quarter of those at t = 0.4 are left at s = 0.1, and none at s = 0."""
    x = torch.full((1, 5), 3)
    around = evolve(context(ORACLE, x, [0]), noise=LogLinear(eps=1e-3))
    t, s = (torch.tensor(number, dtype=torch.float64) for number in (0.4, 0.1))
    said = ORACLE(x, t[None])
    monkeypatch.setattr(RowRandom, "uniform", lambda _: torch.full((1, 5), u).double())

    assert lifted == bool((lift(x, t, s, said, around) != 3).all())
    assert (lift(x, t, 0 * s, said, evolve(around, noise=MD4Clipped(eps=1e-3))) != 3).all()


@corruptions
def test_an_earlier_state_is_drawn_as_the_posterior_says(corruption):
    """By counts of 40,000 draws: what is noise by then is noise of the earlier time."""
    process, rows = DiscreteProcess(corruption, VOCABULARY), 40_000
    alpha, earlier = torch.tensor(0.3).double(), torch.tensor(0.7).double()
    for seen in (K - 1,) if corruption.absorbing else (1, K - 1):
        z, x0 = torch.full((rows, 1), seen), torch.zeros(rows, 1, dtype=torch.long)
        if process.mass(alpha)[seen] == 0:
            continue
        there = SimpleNamespace(
            uniform=RowRandom(range(rows), 1).uniform, free=torch.ones(rows, 1).bool()
        )
        result = process.between(z, x0, alpha, earlier, there)
        stays, clean, noise = (float(each[0]) for each in process.posterior(z, x0, alpha, earlier))
        expected = noise * process.mass(earlier) / process.mass(earlier).sum()
        expected[seen] += stays
        expected[0] += clean

        shares = torch.bincount(result.flatten(), minlength=K) / rows
        assert (shares - expected).abs().max() < 4 * 0.5 / rows**0.5
