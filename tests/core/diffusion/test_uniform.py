"""Uniform corruption and score entropy, against enumeration."""

import itertools

import pytest
import torch
from torch.nn.functional import one_hot

from aios_core.diffusion.scores import log_scores, score_entropy
from aios_core.diffusion.uniform import Uniform, clean, integrand, marginal, posterior
from aios_core.testing.oracle import Oracle
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.noise.polynomial import Polynomial

ORACLE = Oracle(vocab=3, length=3)
K, L = 3, 3
STATES = ORACLE.texts
CHECK = torch.tensor(0.4, dtype=torch.float64)


def likelihoods(alpha):
    """q(z_i | x_i) for every state, text and position: (27, 27, L)."""
    same = (STATES[:, None] == STATES).double()
    return alpha * same + (1 - alpha) / K


def others(alpha):
    """p(x_i | z without z_i), exactly: (27 states, L, K)."""
    q, tokens = likelihoods(alpha), one_hot(STATES, K).double()
    answer = []
    for i in range(L):
        rest = [j for j in range(L) if j != i]
        weight = q[..., rest].prod(-1) * ORACLE.log_joint.exp()
        answer.append(weight @ tokens[:, i] / weight.sum(1, keepdim=True))
    return torch.stack(answer, 1)


@pytest.mark.parametrize("noise", [LogLinear(eps=0.0), Cosine(), Polynomial(exponent=2.0)])
def test_nelbo_is_the_likelihood(noise):
    """T1, T21: with the exact prediction the bound is -log p(x), for every text."""
    n, bound = 400, torch.zeros(len(STATES), dtype=torch.float64)
    for number in range(n):
        u = torch.tensor((number + 0.5) / n, dtype=torch.float64)
        t, dt = u * u * (3 - 2 * u), 6 * u * (1 - u) / n
        alpha, slope = noise.alpha(t), noise.alpha_prime(t)
        p = others(alpha)
        q = likelihoods(alpha).prod(-1)  # (states, texts)
        loss = integrand(
            STATES[:, None].expand(-1, len(STATES), -1),
            STATES.expand(len(STATES), -1, -1),
            p[:, None].expand(-1, len(STATES), -1, -1),
            alpha,
            slope,
        ).sum(-1)
        bound += dt * (q * loss).sum(0)
    torch.testing.assert_close(bound, -ORACLE.log_joint, atol=5e-4, rtol=0)


def test_integrand_is_a_relative_entropy():
    """Zero for the truth, positive otherwise, and the sum over rates by hand."""
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(5, K, generator=generator, dtype=torch.float64).softmax(-1)
    z, x0 = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([0, 0, 2, 1, 2])
    slope = torch.tensor(-0.7, dtype=torch.float64)
    found = integrand(z, x0, p, CHECK, slope)
    for i in range(5):
        q = [marginal(one, CHECK)[i] for one in (one_hot(x0, K).double(), p)]
        total = 0.0
        for y in range(K):
            if y != z[i]:
                r, hat = (0.7 / (CHECK * K) * one[y] / one[z[i]] for one in q)
                total += hat - r + r * (r / hat).log()
        assert pytest.approx(float(total)) == float(found[i])
    assert (found > 0).all()
    exact = integrand(z, x0, one_hot(x0, K).double(), CHECK, slope)
    torch.testing.assert_close(exact, torch.zeros(5).double())


def test_clean_is_the_conditional_of_the_whole_state():
    joint = likelihoods(CHECK).prod(-1) * ORACLE.log_joint.exp()
    expected = torch.einsum("zx,xik->zik", joint, one_hot(STATES, K).double())
    expected /= joint.sum(1)[:, None, None]
    torch.testing.assert_close(clean(STATES, others(CHECK), CHECK), expected)


def test_posterior_is_the_reverse_step():
    """T21: Bayes' rule over the clean token, which is how discrete DDIM draws."""
    alpha, earlier, p = CHECK, torch.tensor(0.7, dtype=torch.float64), others(CHECK)
    found = posterior(STATES, p, alpha, earlier)
    torch.testing.assert_close(found.sum(-1), torch.ones(27, 3).double())
    given = clean(STATES, p, alpha)
    expected = torch.zeros_like(found)
    for x in range(K):
        known = one_hot(torch.tensor(x), K).double()
        routes = marginal(one_hot(STATES, K).double(), alpha / earlier) * marginal(known, earlier)
        expected += given[..., x : x + 1] * routes / routes.sum(-1, keepdim=True)
    torch.testing.assert_close(found, expected)


def test_reverse_steps_lead_to_the_joint():
    """T3: the whole chain as matrices, without sampling; the error falls as 1 / steps."""
    noise, far = LogLinear(eps=0.0), []
    for steps in (16, 64, 256):
        state = torch.full((27,), 1 / 27, dtype=torch.float64)
        for t, s in itertools.pairwise(noise.timesteps(steps)):
            alpha, earlier = noise.alpha(t), noise.alpha(s)
            p = posterior(STATES, others(alpha), alpha, earlier)
            step = torch.stack([p[:, i].gather(1, STATES[:, i].expand(27, -1)) for i in range(L)])
            state = state @ step.prod(0)
        far.append(float((state - ORACLE.log_joint.exp()).abs().sum() / 2))
    assert pytest.approx([0.0382, 0.0092, 0.0023], rel=0.05) == far


def test_corruption_follows_its_marginal():
    x0 = torch.tensor([[0, 1, 2, 3]]).repeat(40_000, 1)
    alpha = torch.full((40_000,), 0.6, dtype=torch.float64)
    z = Uniform(4).corrupt(x0, alpha, torch.Generator().manual_seed(0))
    shares = one_hot(z, 4).double().mean(0)
    expected = marginal(torch.eye(4).double(), alpha[0])
    torch.testing.assert_close(shares, expected, atol=0.012, rtol=0)


def test_score_entropy_is_the_nelbo():
    """T21: at the scores of a prediction it is sigma' / (exp(sigma) - 1) times -log p."""
    generator = torch.Generator().manual_seed(1)
    log_probs = torch.randn(50, 7, generator=generator, dtype=torch.float64).log_softmax(-1)
    x0 = torch.randint(7, (50,), generator=generator)
    t = torch.rand(50, generator=generator, dtype=torch.float64)
    for noise in (LogLinear(), Cosine()):
        sigma, slope = noise.sigma(t), -noise.alpha_prime(t) / noise.alpha(t)
        scores = log_scores(log_probs, sigma[:, None])
        expected = -noise.weight(t) * log_probs.gather(1, x0[:, None])[:, 0]
        torch.testing.assert_close(score_entropy(scores, x0, sigma, slope), expected)


def test_score_entropy_is_least_at_the_true_score():
    """Zero for the score of the clean token and nothing else, more for any other."""
    sigma, slope = torch.tensor([0.8]).double(), torch.tensor([1.3]).double()
    x0 = torch.tensor([2])
    truth = log_scores(one_hot(x0, 4).double().log(), sigma[:, None])
    assert pytest.approx(0, abs=1e-12) == float(score_entropy(truth, x0, sigma, slope))
    for shift in (-0.5, 0.5):
        assert float(score_entropy(truth + shift, x0, sigma, slope)) > 0.05
