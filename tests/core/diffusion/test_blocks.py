"""Any sampler, block by block."""

from itertools import pairwise

import attrs
import pytest
import torch

from aios_core.diffusion.blocks import Blocks
from aios_core.diffusion.core import DiffusionCore
from aios_core.errors import InferenceError
from aios_core.testing.conformance import tokens
from aios_core.testing.contracts.sampler import (
    ROWS,
    SamplerContract,
    context,
    run,
    walk,
)
from aios_core.testing.oracle import Oracle
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.confidence import Confidence
from aios_plugins.samplers.entropy_bounded import EntropyBounded
from aios_plugins.samplers.first_hitting import FirstHitting
from aios_plugins.samplers.remdm import Cap

SAMPLERS = tokens("sampler")


class BlocksContract(SamplerContract):
    def with_steps(self, sampler, steps):
        return attrs.evolve(sampler, inner=super().with_steps(sampler.inner, steps))

    @pytest.mark.parametrize(("rows", "steps"), [(200, 4), (1, 20)])
    def test_asks_anew_at_each_time(self, instance, rows, steps):
        """T15: likewise, of each block: its time runs from 1 to 0, with the share of its masks."""
        oracle, sampler = Parted(), self.with_steps(instance, steps)
        before, block, last = oracle.prior(rows), None, None
        for state in walk(sampler, oracle, before, context(oracle, before, range(rows))):
            assert any(torch.equal(before, x) for x, *_ in oracle.asked)
            for x, t, part in oracle.asked:
                share = (x[:, part] == oracle.mask_id).double().mean()
                assert block != part or (t <= last).all()
                # Of one mask the time is uniform, and a half on average.
                assert rows == 1 or abs(float(share - t.mean())) < 0.55
                block, last = part, t
            oracle.asked.clear()
            before = state


class Parted(Oracle):
    """An oracle that depends on the time and keeps what it was asked, and of which positions."""

    def __init__(self):
        super().__init__(time_conditioned=True)
        self.asked = []

    def part(self, x, t, start, stop):
        self.asked.append((x, t, slice(start, stop)))
        return self(x, t)[:, start:stop]


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
    first, other = (
        DiffusionCore(oracle, sampler, LogLinear(), oracle.mask_id, block_size=size)
        for sampler, size in ((Ancestral(steps=4), 2), (Blocks(Ancestral(steps=4), 2), None))
    )
    assert torch.equal(first.sample(x, seeds=range(6)).ids, other.sample(x, seeds=range(6)).ids)


def test_bad_size_is_refused():
    with pytest.raises(InferenceError, match="block_size is 0"):
        DiffusionCore(Oracle(), Ancestral(), LogLinear(), 3, block_size=0)
