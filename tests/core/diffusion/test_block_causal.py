"""T22: block diffusion, between autoregression and plain diffusion."""

import pytest
import torch

from aios_core.contracts import Condition
from aios_core.diffusion.block_causal import BlockDenoiser, two_streams
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.objective import nelbo
from aios_core.errors import InferenceError
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.first_hitting import FirstHitting
from aios_plugins.samplers.remdm import Cap

from .conftest import nelbo_exact_count, streams, whole

X = torch.tensor([[2, 0, 1, 1], [0, 0, 2, 5]])
timed = pytest.mark.parametrize("time_conditioned", [False, True])


def generator():
    return torch.Generator().manual_seed(3)


@timed
@torch.no_grad()
def test_blocks_of_one_are_autoregression(small_model, time_conditioned):
    """Exactly: the sum of -log p of each token given those before it, without any noise."""
    model = small_model(block_size=1, time_conditioned=time_conditioned)
    result = nelbo_exact_count(model, whole(X), torch.rand(2, 4).double(), streams(X))
    denoiser = BlockDenoiser(model, None, None, cached=False)
    expected = torch.zeros(2).double()
    for i in range(4):
        state = X.clone()
        state[:, i:] = 3
        log_probs = denoiser.part(state, torch.ones(2).double(), i, i + 1)
        expected -= log_probs[:, 0].gather(1, X[:, i : i + 1])[:, 0]
    torch.testing.assert_close(result, expected)


@timed
@torch.no_grad()
def test_one_block_is_plain_diffusion(small_model, time_conditioned):
    """Exactly: the same noise gives the same loss."""
    times = torch.tensor([0.4, 0.9]).double()
    losses = [
        estimate(
            small_model(time_conditioned=time_conditioned, **settings), whole(X), times, streams(X)
        )
        for estimate in (nelbo, nelbo_exact_count)
        for settings in ({}, {"block_size": 4})
    ]
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(losses[2], losses[3])


@torch.no_grad()
def test_bound_is_a_chain_of_blocks(small_model):
    """The mean over masks of each block by itself, by enumeration, for blocks of two."""
    model = small_model(block_size=2)
    denoiser, x = BlockDenoiser(model, None, None, cached=False), X[:1]
    expected = 0.0
    for start in (0, 2):
        for hidden in ((0,), (1,), (0, 1)):
            state = x.clone()
            state[:, start + 2 :] = 3
            for i in hidden:
                state[:, start + i] = 3
            log_probs = denoiser.part(state, torch.ones(1).double(), start, start + 2)[0]
            # k of 2 masked, k in {1, 2} alike, each set of k alike, times 2 / k.
            share = {1: 0.5 * 0.5 * 2, 2: 0.5}[len(hidden)]
            expected -= share * sum(float(log_probs[i, x[0, start + i]]) for i in hidden)
    rows = x.expand(4000, -1)
    times = torch.rand(4000, 2, generator=generator()).double()
    for estimate in (nelbo, nelbo_exact_count):
        draws = estimate(model, whole(rows), times, streams(rows))
        assert abs(float(draws.mean()) - expected) < 3.5 * float(draws.std()) / 4000**0.5


@timed
def test_nothing_leaks_from_later_blocks(small_model, time_conditioned):
    """T22: a later block changes nothing before it, nor does a block's own clean text."""
    model = small_model(block_size=2, time_conditioned=time_conditioned)
    times = torch.rand(2, 2, generator=generator()).double()

    def states(z, x0):
        return two_streams(model, z, x0, times, Condition())

    z = torch.tensor([[3, 0, 3, 3], [0, 3, 3, 5]])
    before = states(z, X)
    for place in range(4):
        changed = X.clone()
        changed[:, place] = (X[:, place] + 1) % 3
        seen = (states(z, changed) - before).abs().amax(-1) > 1e-12
        first = 2 * (place // 2) + 2  # of the next block
        assert not seen[:, :first].any(), "a noisy block sees its own clean text, or a later one"
        assert seen[:, first:].all()
        noisy = z.clone()
        noisy[:, place] = (z[:, place] + 1) % 3
        seen = (states(noisy, X) - before).abs().amax(-1) > 1e-12
        here = torch.arange(4) // 2 == place // 2
        assert seen[:, here].all()
        assert not seen[:, ~here].any(), "a block sees the noise of another one"


@timed
@torch.no_grad()
def test_sampling_sees_what_training_sees(small_model, time_conditioned):
    """With a cache, without one, and in the two streams of training: the same states."""
    model = small_model(block_size=2, time_conditioned=time_conditioned)
    z = torch.tensor([[3, 0, 3, 3], [0, 3, 3, 5]])
    t = torch.tensor([0.3, 0.8]).double()
    trained = two_streams(model, z, X, t[:, None].expand(-1, 2), Condition())
    cached, bare = (BlockDenoiser(model, None, None, cached=flag) for flag in (True, False))
    for start in (0, 2, 0, 2):
        state = torch.cat((X[:, :start], z[:, start:]), 1)
        for denoiser in (cached, bare, cached):
            result = denoiser.states(state, t, start, start + 2)
            torch.testing.assert_close(result, trained[:, start : start + 2])
    other = torch.cat(((X[:, :2] + 1) % 3, z[:, 2:]), 1)  # a prefix that was not read before
    torch.testing.assert_close(cached.states(other, t, 2, 4), bare.states(other, t, 2, 4))
    fresh = BlockDenoiser(model, None, None)  # that is asked for a later block at first
    torch.testing.assert_close(fresh.states(other, t, 2, 4), bare.states(other, t, 2, 4))


@timed
@pytest.mark.parametrize("sampler", [Ancestral(steps=4), FirstHitting(), Cap(steps=4)], ids=repr)
def test_cache_changes_no_token(small_model, sampler, time_conditioned):
    """T22: cache on or off, padded or not; what is given stays."""
    model = small_model(block_size=2, time_conditioned=time_conditioned)
    x = torch.full((6, 8), 3)
    x[:3, 0], x[1, 5] = 2, 1
    ends = []
    for cached in (True, False):
        denoiser = BlockDenoiser(model.eval(), None, None, cached=cached)
        core = DiffusionCore(denoiser, sampler, model.noise, 3, block_size=2)
        ends.append(core.sample(x, seeds=range(6)).ids)
    assert torch.equal(*ends)
    assert torch.equal(x[x != 3], ends[0][x != 3])
    assert not (ends[0] == 3).any()
    whole = DiffusionCore(model, sampler, model.noise, 3)  # the model says how
    assert torch.equal(ends[0], whole.sample(x, seeds=range(6)).ids)
    padded = torch.cat((x, torch.full((6, 3), 4)), 1)
    wide = whole.sample(padded, seeds=range(6), lengths=[8] * 6).ids
    assert torch.equal(ends[0], wide[:, :8])


def test_other_blocks_are_refused(small_model):
    model = small_model(block_size=2)
    with pytest.raises(InferenceError, match="trained in blocks of 2"):
        DiffusionCore(model, Ancestral(), model.noise, 3, block_size=4)
