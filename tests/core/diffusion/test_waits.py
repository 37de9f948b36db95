"""How often a step of sampling makes the host wait for its device."""

import attrs
import pytest
import torch

from aios_core.diffusion.core import DiffusionCore
from aios_core.registry import Registry
from aios_core.testing.counter import Counter
from aios_plugins.corruptions.uniform import Uniform
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers.threshold import Threshold

SAMPLERS = {c.name: c.load() for c in Registry.discover().components("sampler")}
MASK, LENGTH = 3, 12


def waits(model, sampler, **settings):
    """Times that the host waited from the second step on, and how many steps these were."""
    core = DiffusionCore(model, sampler, LogLinear(), MASK, **settings)
    with Counter() as counter:
        states = core.stream(torch.full((1, LENGTH), MASK), seeds=[0])
        next(states)
        next(states)
        before = counter.syncs
        steps = sum(1 for _ in states)
    return counter.syncs - before, steps


def build(cls):
    return cls(steps=8) if "steps" in attrs.fields_dict(cls) else cls()


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_step_waits_twice_at_most(small_model, name):
    """Once for what became of it, once for how many rows are drawn; and once in the end.

    One that takes tokens back does not know from either how many came.
    """
    sampler = build(SAMPLERS[name])
    allowed = 2 + sampler.remasks + (name in {"remdm-conf", "credit"})
    found, steps = waits(small_model(), sampler)
    assert steps > 3
    assert found <= allowed * steps + 1


@pytest.mark.parametrize("name", ["ancestral", "ddim"])
def test_under_other_noise_it_waits_once(small_model, name):
    model = small_model(corruption=Uniform())
    found, steps = waits(model, build(SAMPLERS[name]))
    assert 7 == steps
    assert found <= steps + 2


def test_in_blocks_it_waits_thrice(small_model):
    """And a little at the start of each of the four blocks."""
    found, steps = waits(small_model(), Threshold(tau=0.9), block_size=3, temperature=0)
    assert found <= 3 * steps + 2 * 4 + 1
