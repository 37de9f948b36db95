"""What is given: bounds of the targets given the rest, and samples that begin with given parts."""

import itertools
import math

import pytest
import torch

from aios_core.contracts import Sequences
from aios_core.diffusion.block_causal import BlockDenoiser
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.objective import nelbo, nll
from aios_core.diffusion.times import draw_times
from aios_core.testing.oracle import NoisyOracle, Oracle, ignorant
from aios_plugins.corruptions.hybrid import Hybrid
from aios_plugins.corruptions.uniform import Uniform
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.noise.polynomial import Polynomial
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.first_hitting import FirstHitting

from .conftest import nelbo_discrete, nelbo_exact_count, streams

ROWS = 20_000
TEXT = 17
"""Number of the text that is measured: any does."""
PARTS = [list(map(bool, part)) for part in itertools.product((0, 1), repeat=3) if any(part)]
"""Every choice of targets in a text of three tokens."""
BOUNDS = {
    "nelbo": nelbo,
    "exact count": nelbo_exact_count,
    "discrete": lambda *given: nelbo_discrete(*given, steps=2000),
}


def of_targets(x, targets):
    """Texts of which a part is given."""
    targets = torch.as_tensor(targets).expand(x.shape)
    return Sequences(x, torch.ones_like(targets), targets)


def times_of(rows, blocks=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return draw_times(rows * blocks, generator, epsilon=1e-6).view(rows, blocks)


def assert_mean(expected, draws, bias=0.0):
    error = float(draws.std()) / math.sqrt(len(draws))
    assert abs(float(draws.mean()) - expected) < 4 * error + bias, (draws.mean(), expected, error)


@pytest.mark.parametrize("targets", PARTS, ids=str)
@pytest.mark.parametrize("bound", BOUNDS)
def test_a_perfect_prediction_gives_the_conditional_likelihood(bound, targets):
    """T1: -log p(targets | rest), whichever they are."""
    oracle = Oracle(length=3)
    x = oracle.texts[TEXT].expand(ROWS, -1)
    draws = BOUNDS[bound](
        oracle.model(Cosine()), of_targets(x, targets), times_of(ROWS), streams(x)
    )
    exact = -float(oracle.log_conditional(torch.tensor(targets))[TEXT])
    assert_mean(exact, draws, 1e-3 * exact)


@pytest.mark.parametrize("noise", [LogLinear(eps=0.0), Polynomial()], ids=repr)
def test_so_it_does_whatever_the_schedule(noise):
    """T1: of a prompt and its answer."""
    oracle, targets = Oracle(length=4), torch.tensor([False, False, True, True])
    x = oracle.texts[40].expand(ROWS, -1)
    draws = nelbo(oracle.model(noise), of_targets(x, targets), times_of(ROWS), streams(x))
    assert_mean(-float(oracle.log_conditional(targets)[40]), draws)


@pytest.mark.parametrize("targets", [[False, True, True], [True, False, True]], ids=str)
@pytest.mark.parametrize("corruption", [Uniform(), Hybrid()], ids=repr)
@pytest.mark.parametrize("bound", ["nelbo", "discrete"])
def test_so_it_does_under_other_noise(bound, corruption, targets):
    """T1, T5: what is given is clean among tokens that may all be noise."""
    noise, rows = LogLinear(eps=0.0), 10_000
    given = [place for place, expected in enumerate(targets) if not expected]
    oracle = NoisyOracle(corruption, noise, length=3, given=given)
    x = oracle.texts[TEXT].expand(rows, -1)
    strata = torch.randperm(rows, generator=torch.Generator().manual_seed(0)) % 100
    times = ((strata + 0.5) / 100).double()[:, None]
    bounds = {"nelbo": nelbo, "discrete": lambda *all: nelbo_discrete(*all, steps=100)}
    draws = bounds[bound](oracle.model(noise), of_targets(x, targets), times, streams(x))
    exact = -float(oracle.log_conditional(torch.tensor(targets))[TEXT])
    assert_mean(exact, draws, 0.02 * exact)


def in_blocks(oracle, size):
    return oracle.model(LogLinear(eps=0.0), size)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("bound", ["nelbo", "exact count"])
def test_blocks_add_up_to_the_conditional_likelihood(bound, size):
    """T22: behind a prompt, whether it ends where a block does or within one."""
    oracle, rows = Oracle(length=4), 10_000
    model, x = in_blocks(oracle, size), oracle.texts[40].expand(rows, -1)
    for prompt in range(4):
        targets = torch.arange(4) >= prompt
        random, times = streams(x), times_of(rows, 4 // size)
        draws = BOUNDS[bound](model, of_targets(x, targets), times, random)
        exact = -float(oracle.log_conditional(targets)[40])
        if size == 1 and bound == "exact count":
            torch.testing.assert_close(draws, torch.full_like(draws, exact))
        assert_mean(exact, draws, 1e-3 * exact)


def test_a_block_does_not_see_what_is_given_behind_it():
    """So a text is measured block by block: log p(1st | 2nd) + log p(4th | 1st to 3rd)."""
    oracle, rows, targets = Oracle(length=4), 10_000, torch.tensor([1, 0, 0, 1]).bool()
    x = oracle.texts[40].expand(rows, -1)
    draws = nelbo_exact_count(
        in_blocks(oracle, 2), of_targets(x, targets), times_of(rows, 2), streams(x)
    )
    joint = oracle.log_joint.exp().reshape(3, 3, 3, 3)
    a, b, c, d = oracle.texts[40].tolist()
    first = joint[:, b].sum((1, 2))
    last = joint[a, b, c]
    expected = -(first[a] / first.sum()).log() - (last[d] / last.sum()).log()
    torch.testing.assert_close(draws, expected.expand_as(draws))


def test_the_twin_predicts_the_targets_alone(small_model):
    """Exactly: the likelihood of the whole less that of what is given in front."""
    model, x = small_model("ar"), torch.tensor([[2, 0, 1, 1], [0, 1, 2, 0]])
    whole = nll(model, of_targets(x, [True] * 4))
    prompt = nll(model, Sequences(x[:, :2], torch.ones(2, 2).bool()))
    answer = nll(model, of_targets(x, [False, False, True, True]))
    torch.testing.assert_close(answer, whole - prompt)


def test_what_is_given_or_padded_is_neither_hidden_nor_counted():
    """T6, T14: of a model that knows nothing it is as many ln V as there are targets."""
    model, seen = ignorant(LogLinear(), vocab=3, length=4), []
    encode = model.head.encode
    model.head.encode = lambda x: seen.append(x) or encode(x)
    x = torch.tensor([0, 1, 2, 0]).expand(ROWS, -1)
    targets, valid = (
        torch.tensor(flags).expand(ROWS, -1)
        for flags in ([False, True, True, False], [True, True, True, False])
    )
    draws = nelbo(model, Sequences(x, valid, targets), times_of(ROWS), streams(x))
    assert torch.equal(x[:, [0, 3]], seen[0][:, [0, 3]])
    assert (seen[0][:, 1:3] == 3).any()
    assert_mean(2 * math.log(3), draws, 2e-3 * 2 * math.log(3))


def test_rows_that_share_a_sequence_are_measured_as_alone(small_model):
    """To rounding: of each what is learned, in a sequence of its own or beside others."""
    model, targets = small_model(), torch.tensor([[0, 1, 1, 1, 0, 1, 0, 1]]).bool()
    x = torch.tensor([[5, 0, 1, 6, 5, 2, 2, 6]])
    rows, places = torch.tensor([[0] * 4 + [1] * 4]), torch.arange(8)[None] % 4
    together = Sequences(x, torch.ones_like(targets), targets, rows=rows, positions=places)
    alone = of_targets(x.view(2, 4), targets.view(2, 4))
    at_end = torch.ones(2, 1).double()
    apart = nelbo(model, alone, at_end, streams(x.view(2, 4)))
    torch.testing.assert_close(
        nelbo(model, together, at_end[:1], streams(x)), apart.sum(0, keepdim=True)
    )
    twin = small_model("ar")
    torch.testing.assert_close(nll(twin, together), nll(twin, alone).sum(0, keepdim=True))


class Deaf:
    """An oracle that does not look at the first token."""

    time_conditioned = False

    def __init__(self, oracle):
        self.oracle, self.mask_id, self.process = oracle, oracle.mask_id, oracle.process

    def __call__(self, x, t):
        return self.oracle(x.index_fill(1, torch.tensor([0]), self.mask_id), t)


@pytest.mark.parametrize("sampler", [FirstHitting(), Ancestral(steps=100)], ids=repr)
def test_samples_follow_what_is_given(sampler):
    """T3: whichever token stands in front, what is written behind it has its conditional.

    The suite of samplers says so of all of them; that it can fail is seen of one who does not look.
    """
    oracle, rows = Oracle(), 10_000
    x = oracle.draw(rows, seed=1)
    x[:, 1:] = oracle.mask_id
    far = []
    for denoiser in (oracle, Deaf(oracle)):
        core = DiffusionCore(denoiser, sampler, LogLinear(eps=0.0), oracle.mask_id)
        ids = core.sample(x, seeds=range(rows)).ids
        assert torch.equal(x[:, 0], ids[:, 0])
        far.append(oracle.total_variation(ids) / oracle.floor(rows))
    assert far[0] < 1.25
    assert far[1] > 3


def test_blocks_write_behind_a_prompt_what_follows_it(small_model):
    """A prompt that ends within a block: what stands before it is read, and it stays."""
    oracle, rows = Oracle(), 10_000
    x = oracle.draw(rows, seed=1)
    x[:, 1:] = oracle.mask_id
    model = in_blocks(oracle, 2)
    denoiser = BlockDenoiser(model, None, None, cached=False)
    denoiser.states = lambda x, t, start, stop: oracle(
        x.masked_fill(torch.arange(5) >= stop, oracle.mask_id), t
    )[:, start:stop]
    core = DiffusionCore(denoiser, FirstHitting(), model.noise, oracle.mask_id, block_size=2)
    ids = core.sample(x, seeds=range(rows)).ids
    assert torch.equal(x[:, 0], ids[:, 0])
    assert oracle.total_variation(ids) < 1.25 * oracle.floor(rows)
