"""Contracts for spaces other than tokens, kept by a corruption of numbers that is no plugin yet."""

import math
from itertools import pairwise

import pytest
import torch
from attrs import evolve, frozen

from aios_core.contracts import (
    Condition,
    Continuous,
    Corruption,
    ProjectionHead,
    Sampler,
    Vocabulary,
)
from aios_core.contracts.denoising import states, together
from aios_core.diffusion.model import Model
from aios_core.diffusion.process import DiscreteProcess, process_of
from aios_core.errors import PluginError
from aios_core.testing.contracts.sampler import Linear, context
from aios_core.testing.oracle import Oracle
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.heads.text import Text
from aios_plugins.noise.cosine import Cosine
from aios_plugins.samplers.ancestral import Ancestral

from .conftest import VOCABULARY, streams

PICTURE = Continuous(channels=3)


@frozen
class Gaussian(Corruption):
    """sqrt(alpha) x + sqrt(1 - alpha) eps."""

    def noise(self, alpha, vocabulary):
        raise PluginError("Gaussian is for numbers; expected a continuous space")

    def process(self, space):
        return GaussianProcess(self, space)


@frozen
class GaussianProcess:
    corruption: Gaussian
    space: Continuous
    absorbing = False

    def prior(self, u):
        return math.sqrt(2) * torch.erfinv(2 * u - 1)

    def corrupt(self, x0, alpha, random):
        eps = self.prior(torch.stack([random.uniform() for _ in range(x0.shape[-1])], -1))
        alpha = alpha.reshape(-1, 1, 1)
        return alpha.sqrt() * x0 + (1 - alpha).sqrt() * eps

    def between(self, z, clean, alpha, earlier, draws):
        keep = ((1 - earlier) / (1 - alpha)).sqrt()  # DDIM, which draws nothing
        return keep * z + (earlier.sqrt() - alpha.sqrt() * keep) * clean

    def integrand(self, z, x0, prediction, alpha, slope):
        weight = -slope / (2 * (1 - alpha).square())
        return weight[:, None] * (x0 - prediction).square().sum(-1).double()


@frozen
class Latent(Sampler):
    """Euler's method, on numbers."""

    exact = "in the limit"
    steps: int = 5

    def denoise(self, x, context):
        times = torch.linspace(1, 0, self.steps + 1, dtype=torch.float64)
        for t, s in pairwise(times):
            clean = yield x, t.expand(len(x))
            alpha, earlier = context.noise.alpha(t), context.noise.alpha(s)
            x = context.process.between(x, clean, alpha, earlier, context)
        return x


def test_a_vocabulary_is_a_space():
    assert VOCABULARY.width == VOCABULARY.size
    assert 3 == PICTURE.width
    assert VOCABULARY is Vocabulary.of(VOCABULARY, Text())


def test_a_corruption_makes_the_process_of_a_space():
    process = process_of(Absorbing(), VOCABULARY)
    assert process == DiscreteProcess(Absorbing(), VOCABULARY)
    assert process.space is VOCABULARY
    assert PICTURE == process_of(Gaussian(), PICTURE).space


@pytest.mark.parametrize(("corruption", "space"), [(Absorbing(), PICTURE), (Gaussian(), 3)])
def test_what_has_no_process_is_refused(corruption, space):
    @frozen
    class Stubborn(Gaussian):
        def process(self, space):
            return GaussianProcess(self, PICTURE)

    corruption = Stubborn() if space == 3 else corruption
    with pytest.raises(PluginError, match="has no process for"):
        process_of(corruption, space)


def test_what_a_corruption_raises_names_it():
    @frozen
    class Failing(Corruption):
        def noise(self, alpha, vocabulary):
            raise AssertionError

        def process(self, space):
            return 1 / 0

    with pytest.raises(PluginError, match="Failing: process raised ZeroDivisionError"):
        process_of(Failing(), VOCABULARY)


def test_a_head_of_tokens_refuses_numbers():
    with pytest.raises(PluginError, match=r"Text is for tokens; .* got Continuous\(channels=3\)"):
        Text().build(8, PICTURE)


@frozen
class Means(ProjectionHead):
    """A head of numbers, which says the means of the clean ones."""

    def build(self, dim, space):
        module = torch.nn.Module()
        module.into = torch.nn.Linear(space.width, dim)
        module.out = torch.nn.Linear(dim, space.width)
        module.encode, module.decode = module.into.forward, module.out.forward
        return module


def test_a_head_says_as_many_numbers_as_a_position_has():
    module = Means().build(8, PICTURE)
    assert (2, 4, 3) == tuple(module.decode(module.encode(torch.zeros(2, 4, 3))).shape)


def test_the_bound_of_numbers_is_that_of_their_noise():
    """What is lost between two times, of normal numbers with the best mean: half a log a number.

    The integral of the least square error over the signal-to-noise ratio is twice the information
    (Guo, Shamai and Verdu 2005), and that of a normal number of variance v is log(1 + v SNR) / 2.
    """
    process, noise, v = process_of(Gaussian(), PICTURE), Cosine(), 0.5
    t = 0.02 + 0.96 * (torch.arange(4000).double() + 0.5) / 4000
    alpha, slope = noise.alpha(t), noise.alpha_prime(t)
    source = torch.Generator().manual_seed(0)
    x0 = math.sqrt(v) * torch.randn(4000, 50, 3, generator=source).double()
    z = process.corrupt(x0, alpha[:, None], streams(x0))
    level = alpha[:, None, None]
    mean = level.sqrt() * v / (level * v + 1 - level) * z
    nats = process.integrand(z, x0, mean, alpha, slope)

    ends = noise.alpha(torch.tensor([0.02, 0.98]).double())
    first, last = (1 + v * ends / (1 - ends)).log().tolist()
    assert pytest.approx(1.5 * (first - last), rel=0.01) == 0.96 * float(nats.mean())


def test_numbers_and_tokens_are_sampled_side_by_side():
    """Each as it is alone, and one call answers both."""
    oracle = Oracle(time_conditioned=True)
    text = oracle.prior(2)
    picture = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    around = context(oracle, text, range(2))
    process, calls = process_of(Gaussian(), PICTURE), []
    samplers = {"text": (Ancestral(steps=3), text), "picture": (Latent(), picture)}
    contexts = {"text": around, "picture": evolve(around, noise=Linear(), process=process)}

    def clean(x, t):
        return torch.tanh(x) * (1 - t)[:, None, None]

    def answer(questions):
        calls.append(set(questions))
        answers = {"text": oracle, "picture": clean}
        return {
            name: answers[name](question.state, question.t) for name, question in questions.items()
        }

    def runs():
        fresh = {"text": context(oracle, text, range(2)), "picture": contexts["picture"]}
        return {name: each.denoise(x, fresh[name]) for name, (each, x) in samplers.items()}

    ends = together(runs(), answer)
    assert [{"text", "picture"}] * 3 + [{"picture"}] * 2 == calls
    for name, denoiser in (("text", oracle), ("picture", clean)):
        *_, last = states(runs()[name], samplers[name][1], denoiser)
        assert torch.equal(last, ends[name])


def test_a_backbone_is_given_no_more_axes_than_it_knows(small_model):
    model = small_model()
    x = torch.zeros(1, 4, dtype=torch.int64)
    places = torch.zeros(1, 4, 4, dtype=torch.int64)
    with pytest.raises(PluginError, match=r"(?i)transformer.* knows positions on 3 axes; got 4"):
        model(x, None, Condition(positions=places))


def test_a_model_is_built_of_what_its_corruption_says(small_model):
    with pytest.raises(PluginError, match="has no process for"):
        Model(Text(), small_model()._makers[1], Cosine(), Nothing(), VOCABULARY)


@frozen
class Nothing(Corruption):
    def noise(self, alpha, vocabulary):
        raise AssertionError

    def process(self, space):
        return GaussianProcess(self, PICTURE)
