"""Approximate caches: what they do not read, and how far off they are."""

import pytest
import torch

from aios_core.contracts import Condition
from aios_core.diffusion.core import DiffusionCore
from aios_core.errors import InferenceError
from aios_core.testing.oracle import Oracle
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.threshold import Threshold

MASK = 3
T = torch.ones(2, dtype=torch.float64)


def text(length=8):
    return torch.full((2, length), MASK)


def lengths_read(model):
    """How many positions the backbone is given, call by call."""
    read = []
    model.backbone.register_forward_pre_hook(lambda _, given: read.append(given[0].shape[1]))
    return read


@pytest.mark.parametrize(("cache", "expected"), [("prefix", [8, 6, 6]), ("dual", [8, 3, 3])])
def test_reads_no_more_than_it_must(small_model, cache, expected):
    """All of the text first, then from the block on, or the block alone; again for each block."""
    model = small_model()
    read = lengths_read(model)
    denoiser = model.denoiser(cache=cache)
    for start, stop in ((2, 5), (5, 8)):
        for _ in range(3):
            denoiser.part(text(), T, start, stop)
    assert expected == read[:3]
    assert [8, 3, 3] == read[3:]


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_nothing_new_nothing_lost(small_model, cache):
    """While the text stays as it was read the answer is the network's own, padded or not."""
    model = small_model()
    x = text()
    x[0, 6:] = 4
    for condition in (None, Condition(valid=x != 4)):
        exact, cached = model.denoiser(condition), model.denoiser(condition, cache=cache)
        for start, stop in ((0, 3), (3, 6)):
            for _ in range(2):
                result = cached.part(x, T, start, stop)
                torch.testing.assert_close(result, exact.part(x, T, start, stop))


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_it_is_an_approximation(small_model, cache):
    """What the block's new tokens do to the others is not seen: from the second layer on."""
    x = text()
    new = x.clone()
    new[:, 3] = 1
    for layers, expected in ((1, False), (2, True)):
        model = small_model(layers=layers)
        exact, cached = model.denoiser(), model.denoiser(cache=cache)
        cached.part(x, T, 2, 5)
        result, right = (each.part(new, T, 2, 5).exp() for each in (cached, exact))
        off = (result - right).abs().max()
        assert expected == bool(off > 1e-6)
        assert off < 0.1


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_blocks_of_one_are_exact(small_model, cache):
    """Each block is asked about once, when all has just been read."""
    model = small_model()
    ends = [
        DiffusionCore(model, Ancestral(steps=1), LogLinear(), MASK, block_size=1, cache=each)
        .sample(text(), seeds=[0, 1])
        .ids
        for each in ("none", cache)
    ]
    assert torch.equal(*ends)


@pytest.mark.parametrize("cache", ["prefix", "dual"])
@pytest.mark.parametrize("sampler", [Threshold(tau=0.5), Ancestral(steps=3)])
def test_rows_are_independent(small_model, cache, sampler):
    """T16: a padded row in a batch gives the text that it gives alone."""
    model, lengths = small_model(), [4, 7, 2]
    core = DiffusionCore(model, sampler, LogLinear(), MASK, block_size=3, cache=cache)
    x = torch.full((3, 7), MASK)
    for i, n in enumerate(lengths):
        x[i, n:] = 4
    together = core.sample(x, seeds=range(3), lengths=lengths)
    assert not (together.ids == MASK).any()
    for i, n in enumerate(lengths):
        alone = core.sample(x[i : i + 1, :n], seeds=[i])
        assert torch.equal(alone.ids[0], together.ids[i, :n])


def test_what_cannot_be_cached_is_refused(small_model):
    settings = {"noise": LogLinear(), "mask_id": MASK, "cache": "dual"}
    with pytest.raises(InferenceError, match="expected a block_size"):
        DiffusionCore(small_model(), Ancestral(), **settings)
    with pytest.raises(InferenceError, match="without guidance or constraints"):
        DiffusionCore(Oracle(), Ancestral(), block_size=2, **settings)
    model = small_model()
    model.backbone = torch.nn.Identity()
    with pytest.raises(InferenceError, match="Identity has no key-value cache"):
        model.denoiser(cache="prefix")
