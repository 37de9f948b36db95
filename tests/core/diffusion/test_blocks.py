"""Any sampler, block by block."""

from itertools import pairwise

import attrs
import pytest
import torch

from aios_core.diffusion.blocks import Blocks
from aios_core.diffusion.core import DiffusionCore
from aios_core.errors import InferenceError
from aios_core.registry import Registry
from aios_core.testing.contracts.sampler import ROWS, SamplerContract, run
from aios_core.testing.oracle import Oracle
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.confidence import Confidence
from aios_plugins.samplers.entropy_bounded import EntropyBounded
from aios_plugins.samplers.first_hitting import FirstHitting
from aios_plugins.samplers.remdm import Cap

SAMPLERS = {c.name: c.load() for c in Registry.discover().components("sampler")}


class BlocksContract(SamplerContract):
    def with_steps(self, sampler, steps):
        return attrs.evolve(sampler, inner=super().with_steps(sampler.inner, steps))


class TestFirstHitting(BlocksContract):
    component = Blocks(FirstHitting(), 2)


class TestAncestral(BlocksContract):
    component = Blocks(Ancestral(), 3)


class TestConfidence(BlocksContract):
    component = Blocks(Confidence(), 2)


class TestRemasking(BlocksContract):
    component = Blocks(Cap(), 2)


class TestEntropyBounded(BlocksContract):
    component = Blocks(EntropyBounded(), 4)


@pytest.mark.parametrize("name", SAMPLERS)
def test_blocks_are_finished_from_left_to_right(name):
    """No position is touched before all blocks to its left are full, nor after its own is."""
    cls, oracle = SAMPLERS[name], Oracle()
    inner = cls(steps=3) if "steps" in attrs.fields_dict(cls) else cls()
    x = oracle.prior(8)
    block = torch.arange(5) // 2
    states = [x, *run(Blocks(inner, 2), oracle, x, range(8))]
    for before, after in pairwise(states):
        changed = (before != after).nonzero()
        blocks = block[changed[:, 1]].unique()
        assert len(blocks) <= 1
        if len(blocks):
            here = int(blocks[0])
            assert not (before[:, block < here] == oracle.mask_id).any()
            assert (after[:, block > here] == oracle.mask_id).all()
    assert not (states[-1] == oracle.mask_id).any()


def test_blocks_of_one_go_from_left_to_right():
    """Which is exact with one call a token, whatever the sampler."""
    oracle = Oracle()
    ids = run(Blocks(Ancestral(steps=1), 1), oracle, oracle.prior(ROWS), range(ROWS))[-1]
    assert 5 == oracle.nfe
    assert oracle.total_variation(ids) < 1.25 * oracle.floor(ROWS)


def test_error_falls_with_the_size_of_blocks():
    """T3: two steps a block, for blocks of 5, 3 and 2."""
    oracle, far = Oracle(), []
    for size in (5, 3, 2):
        sampler = Blocks(Ancestral(steps=2), size)
        ids = run(sampler, oracle, oracle.prior(ROWS), range(ROWS))[-1]
        far.append(oracle.total_variation(ids))
    assert far[0] > far[1] > far[2]


def test_configured_through_the_core():
    oracle = Oracle()
    x = oracle.prior(6)
    one, other = (
        DiffusionCore(oracle, sampler, LogLinear(), oracle.mask_id, block_size=size)
        for sampler, size in ((Ancestral(steps=4), 2), (Blocks(Ancestral(steps=4), 2), None))
    )
    assert torch.equal(one.sample(x, seeds=range(6)).ids, other.sample(x, seeds=range(6)).ids)


def test_bad_size_is_refused():
    with pytest.raises(InferenceError, match="block_size is 0"):
        DiffusionCore(Oracle(), Ancestral(), LogLinear(), 3, block_size=0)
