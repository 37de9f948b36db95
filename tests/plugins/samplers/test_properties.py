"""Properties of every registered sampler, from any state."""

from itertools import pairwise

import attrs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_core.testing.conformance import tokens
from aios_core.testing.contracts.sampler import context, run, walk
from aios_core.testing.oracle import Oracle
from aios_core.testing.strategies import states

ORACLE = Oracle()
SAMPLERS = tokens("sampler")

seeds = st.integers(0, 2**64 - 1)


def build(cls, steps):
    return cls(steps=steps) if "steps" in attrs.fields_dict(cls) else cls()


@pytest.mark.parametrize("name", SAMPLERS)
@settings(deadline=None)
@given(states(), st.data())
def test_fills_in_masks_and_nothing_else(name, x, data):
    """T12, T13, T14: no mask stays, no token moves unless a sampler remasks, from any state."""
    row_seeds = data.draw(st.lists(seeds, min_size=len(x), max_size=len(x)))
    steps = data.draw(st.integers(1, 12))
    temperature = data.draw(st.sampled_from([0.0, 0.1, 1.0, 5.0]))
    sampler = build(SAMPLERS[name], steps)
    path = [x, *run(sampler, ORACLE, x, row_seeds, temperature=temperature)]
    given = x != ORACLE.mask_id
    for before, after in pairwise(path):
        kept = given if sampler.remasks else before != ORACLE.mask_id
        assert torch.equal(before[kept], after[kept])
    assert not (path[-1] == ORACLE.mask_id).any()


@pytest.mark.parametrize("name", SAMPLERS)
@settings(deadline=None)
@given(states(), seeds, st.integers(1, 12))
def test_what_is_fixed_may_be_less_than_what_is_given(name, x, seed, steps):
    """T14: given tokens that are not fixed do not confuse a sampler: fixed ones stay, no mask."""
    fixed = (x != ORACLE.mask_id) & (torch.arange(5) < 2)
    surroundings = attrs.evolve(context(ORACLE, x, [seed + i for i in range(len(x))]), fixed=fixed)
    sampler = build(SAMPLERS[name], steps)
    *_, last = x, *walk(sampler, ORACLE, x, surroundings)
    assert torch.equal(x[fixed], last[fixed])
    assert not (last == ORACLE.mask_id).any()
