"""Guidance."""

import pytest
import torch

from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.denoiser import substitute
from aios_core.diffusion.guidance import (
    ClassifierFree,
    ExactClassifier,
    FirstOrderClassifier,
    Reprompted,
)
from aios_core.testing.oracle import Oracle
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers.first_hitting import FirstHitting

MASK = 3
CONDITIONAL, UNCONDITIONAL = Oracle(seed=1), Oracle(seed=2)
X = torch.tensor([[3, 1, 3, 3, 0], [3, 3, 3, 3, 3]])
T = torch.tensor([0.5, 1.0]).double()


def test_ends_of_the_scale_are_the_two_models():
    """T27."""
    for gamma, expected in ((1, CONDITIONAL), (0, UNCONDITIONAL)):
        result = ClassifierFree(CONDITIONAL, UNCONDITIONAL, gamma, MASK)(X, T)
        torch.testing.assert_close(result, expected(X, T))


def test_ends_of_the_scale_ask_one_model():
    for gamma, asked in ((1, (1, 0)), (0, (0, 1)), (2, (1, 1))):
        models = Oracle(seed=1), Oracle(seed=2)
        ClassifierFree(*models, gamma, MASK)(X, T)
        assert asked == tuple(model.nfe for model in models)


@pytest.mark.parametrize("gamma", [-0.5, 0.3, 1.5, 4.0])
def test_both_conventions(gamma):
    """T27: gamma log c + (1 - gamma) log u is u + (w + 1)(c - u), with w = gamma - 1."""
    c, u = CONDITIONAL(X, T), UNCONDITIONAL(X, T)
    mixed = (gamma * c + (1 - gamma) * u).nan_to_num(nan=-torch.inf)
    expected = substitute(mixed, X, MASK, torch.float64)
    for made in (
        ClassifierFree(CONDITIONAL, UNCONDITIONAL, gamma, MASK),
        ClassifierFree.of_cfg_scale(CONDITIONAL, UNCONDITIONAL, gamma - 1, MASK),
    ):
        torch.testing.assert_close(made(X, T), expected)


def test_what_one_model_calls_impossible():
    """Impossible under the condition stays so; without it alone, it is all that is left."""

    def fixed(*p):
        table = torch.tensor([*p, 0.0]).double().log().expand(1, 1, -1)

        class Fixed:
            time_conditioned = False

            def __call__(self, x, t):
                return table.clone()

        return Fixed()

    x, t = torch.tensor([[MASK]]), torch.ones(1)
    result = ClassifierFree(fixed(0.5, 0.5, 0), fixed(0.2, 0.3, 0.5), 3.0, MASK)(x, t)
    assert 0 == result[0, 0, 2].exp()
    assert result.isnan().sum() == 0
    result = ClassifierFree(fixed(0.5, 0.25, 0.25), fixed(0.5, 0.5, 0), 3.0, MASK)(x, t)
    assert 1 == result[0, 0, 2].exp()


def test_samplers_never_know():
    guided = ClassifierFree(CONDITIONAL, UNCONDITIONAL, 2.0, MASK)
    ids = DiffusionCore(guided, FirstHitting(), LogLinear(), MASK).sample(X, seeds=[0, 1]).ids
    assert MASK not in ids
    assert (X == ids)[X != MASK].all()


class Echo:
    """Log-probabilities that say what was asked."""

    time_conditioned = False

    def __call__(self, x, t):
        self.asked = x
        place = torch.arange(x.shape[1])[None, :, None]
        return (10 * place + torch.arange(4)).expand(len(x), -1, -1).double()


def test_another_prompt_moves_the_text():
    """Prompt 0 1 becomes 2: the text behind it moves to the left, and its answers come back."""
    echo = Echo()
    take = torch.tensor([[5, 2, 3, 4]])
    back = torch.tensor([[0, 0, 1, 2, 3]])
    answer = Reprompted(echo, torch.tensor([2]), take, back)(torch.tensor([[0, 1, 3, 3, 1]]), T[:1])

    assert [[2, 3, 3, 1]] == echo.asked.tolist()
    assert [10, 20, 30] == answer[0, 2:, 0].tolist()


class Linear:
    """Log-probability linear in the one-hot states; no classifier, but its gradient is exact."""

    weight = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).double()

    def log_prob(self, states, t):
        return (states * self.weight).sum((1, 2))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_first_order_is_exact_where_the_classifier_is_linear(chunk):
    exact = ExactClassifier(CONDITIONAL, Linear(), 1.7, MASK, chunk=chunk)(X, T)
    first = FirstOrderClassifier(CONDITIONAL, Linear(), 1.7, MASK)(X, T)
    expected = substitute(CONDITIONAL(X, T) + 1.7 * Linear.weight, X, MASK, torch.float64)

    torch.testing.assert_close(exact, first)
    torch.testing.assert_close(expected, exact)


def test_exact_guidance_by_bayes():
    """One mask left: with the true p(wanted | text), gamma 1 gives the posterior."""
    expected = torch.linspace(0.1, 0.9, len(CONDITIONAL.texts)).double()

    class True_:  # noqa: N801
        def log_prob(self, states, t):
            texts = states.argmax(-1)
            powers = 3 ** torch.arange(4, -1, -1)
            index = (texts.clamp(max=2) * powers).sum(-1)
            return torch.where((texts == MASK).any(-1), 0.0, expected[index].log())

    x = torch.tensor([[0, 1, MASK, 2, 0]])
    result = ExactClassifier(CONDITIONAL, True_(), 1.0, MASK)(x, T[:1])[0, 2].exp()
    same = ((CONDITIONAL.texts == x) | (x == MASK)).all(-1)
    posterior = (CONDITIONAL.log_joint.exp() * expected)[same]
    torch.testing.assert_close(result[:3], posterior / posterior.sum())


def test_no_scale_no_guidance():
    for kind in (ExactClassifier, FirstOrderClassifier):
        torch.testing.assert_close(kind(CONDITIONAL, Linear(), 0.0, MASK)(X, T), CONDITIONAL(X, T))


@pytest.mark.parametrize("gamma", [-2.0, -0.5, 0.5, 1.0, 3.0])
def test_impossible_under_the_condition_is_so_at_every_scale(gamma):
    """Also where it leads towards the other model, which calls it likely."""

    def fixed(*p):
        table = torch.tensor([*p, 0.0]).double().log().expand(1, 1, -1)
        denoiser = lambda x, t: table.clone()  # noqa: E731
        denoiser.time_conditioned = False
        return denoiser

    x, t = torch.tensor([[MASK]]), torch.ones(1)
    result = ClassifierFree(fixed(0.6, 0.4, 0), fixed(0.1, 0.1, 0.8), gamma, MASK)(x, t)[0, 0]
    weights = torch.tensor([0.6 / 0.1, 0.4 / 0.1]).double() ** gamma * 0.1
    torch.testing.assert_close(result.exp()[:2], weights / weights.sum())
    assert [0, 0] == result.exp()[2:].tolist()


class Hourly:
    """An oracle whose answer depends on the time of each row."""

    time_conditioned = True

    def __init__(self, oracle):
        self.oracle = oracle

    def __call__(self, x, t):
        return (self.oracle(x, t) * (0.5 + t[:, None, None])).log_softmax(-1)

    def log_prob(self, states, t):
        """As a classifier: how likely a text is matters more, the later it is."""
        return t * (states * Linear.weight).sum((1, 2))


LED, LEADING = Hourly(CONDITIONAL), Hourly(UNCONDITIONAL)


@pytest.mark.parametrize(
    "guided",
    [
        ClassifierFree(LED, LEADING, 2.0, MASK),
        *(ExactClassifier(LED, LEADING, 1.7, MASK, chunk=n) for n in (1, 7, 1000)),
        FirstOrderClassifier(LED, LEADING, 1.7, MASK),
    ],
    ids=lambda value: type(value).__name__ + str(getattr(value, "chunk", "")),
)
def test_each_row_is_guided_at_its_own_time(guided):
    """What a row is guided by depends on its time, and on nothing of its batch mates."""
    together = guided(X, T)
    for row in range(2):
        torch.testing.assert_close(guided(X[row : row + 1], T[row : row + 1])[0], together[row])
    free = X == MASK
    assert not torch.allclose(guided(X, T.flip(0))[free].exp(), together[free].exp())
