"""T28: whatever is registered works with whatever else is."""

import itertools
import random
from functools import cache

import attrs
import pytest
import torch

from aios_core.config import resolve
from aios_core.contracts import Corruption, Vocabulary
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import nll, training_loss
from aios_core.diffusion.times import draw_times
from aios_core.errors import ConfigError
from aios_core.registry import Registry

from .conftest import VOCABULARY, streams, whole

REGISTRY = Registry.discover()


def names(kind):
    loaded = {component.name: component.load() for component in REGISTRY.components(kind)}
    return [n for n, cls in loaded.items() if Vocabulary in getattr(cls, "spaces", (Vocabulary,))]


def train_one_step(model, objective):
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randint(3, (4, 8), generator=generator)
    model.train()
    times = draw_times(4 * (8 // model.block_size or 1), generator).view(4, -1)
    loss = training_loss(model, whole(x), times, streams(x), objective=objective)
    loss.backward()
    optimiser.step()
    assert loss.isfinite()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    return x


TRAINED = ("noise", "corruption", "objective", "head", "backbone")
SAMPLED = ("noise", "corruption", "sampler")


def parts(kinds, given):
    return [REGISTRY.get(kind, name).load() for kind, name in zip(kinds, given, strict=True)]


def is_served(kinds, given):
    """Whether nobody who needs masks is given other noise."""
    chosen = parts(kinds, given)
    absorbing = all(each.absorbing for each in chosen if issubclass(each, Corruption))
    return absorbing or not any(getattr(each, "absorbing_only", False) for each in chosen)


def pairs(given):
    return set(itertools.combinations(enumerate(given), 2))


def covering(kinds):
    """Choices of a component of each kind in which every two that go together do meet.

    No fault is known that takes three: they reach each other through what two share, the levels of
    noise (schedule and corruption), states (corruption and sampler or objective) and times
    (schedule and sampler or objective). Served alone are choices that `is_served`; `test_refuses`
    has the rest.
    """
    served = [each for each in itertools.product(*map(names, kinds)) if is_served(kinds, each)]
    random.Random(0).shuffle(served)  # in the order of the product few choices would hold new pairs
    chosen, met = [], set()
    for each in served:
        if not pairs(each) <= met:
            chosen.append(each)
            met |= pairs(each)
    return sorted(chosen)


def config_of(kinds, given, **sections):
    values = {kind: {"type": name} for kind, name in zip(kinds, given, strict=True)}
    return resolve({**values, **sections}, registry=REGISTRY).config


@pytest.mark.parametrize("kinds", [TRAINED, SAMPLED], ids=["trained", "sampled"])
def test_every_pair_is_covered(kinds):
    """Two of each kind: all pairs, but those that never go together."""
    met = set().union(*map(pairs, covering(kinds)))
    for (i, combination), (j, other) in itertools.combinations(enumerate(kinds), 2):
        for first, second in itertools.product(names(combination), names(other)):
            assert (((i, first), (j, second)) in met) == is_served(
                (combination, other), (first, second)
            )


@pytest.mark.parametrize("kind", ["objective", "sampler"])
def test_refuses(kind):
    """What cannot work is reported when the configuration is read."""
    refused = 0
    for given in itertools.product(names("corruption"), names(kind)):
        if not is_served(("corruption", kind), given):
            with pytest.raises(ConfigError, match=rf"{kind}: \w+ works with masks alone"):
                config_of(("corruption", kind), given)
            refused += 1

    assert refused > 0


@pytest.mark.parametrize(TRAINED, covering(TRAINED))
def test_trains(noise, corruption, objective, head, backbone):
    """T28: one step, plain and, where it can be, in blocks."""
    given = noise, corruption, objective, head, backbone
    for blocks in (None, 4) if corruption == "absorbing" else (None,):
        diffusion = {"length": 8} if blocks is None else {"length": 8, "block_size": blocks}
        config = config_of(TRAINED, given, diffusion=diffusion)
        train_one_step(Model.build(config, VOCABULARY), config.objective)


@cache
def trained(corruption):
    """A network that was trained for a step; whichever schedule it was trained under."""
    config = resolve({"corruption": {"type": corruption}}, registry=REGISTRY).config
    model = Model.build(config, VOCABULARY)
    train_one_step(model, config.objective)
    return model


@pytest.mark.parametrize(SAMPLED, covering(SAMPLED))
def test_samples(noise, corruption, sampler):
    """T28, T13: texts without masks."""
    config = config_of(SAMPLED, (noise, corruption, sampler))
    sampler = config.sampler
    if "steps" in attrs.fields_dict(type(sampler)):
        sampler = attrs.evolve(sampler, steps=4)
    core = DiffusionCore(trained(corruption), sampler, config.noise, VOCABULARY.mask_id)
    result = core.sample(torch.full((4, 8), VOCABULARY.mask_id), seeds=range(4))
    assert not (result.ids == VOCABULARY.mask_id).any()
    assert result.nfe >= 1


@pytest.mark.parametrize(
    ("head", "backbone"), list(itertools.product(names("head"), names("backbone")))
)
def test_twin_trains(head, backbone):
    """T28: one step of training, and a likelihood."""
    values = {"mode": "ar", "head": {"type": head}, "backbone": {"type": backbone}}
    model = Model.build(resolve(values).config, VOCABULARY)
    x = train_one_step(model, None)
    with torch.no_grad():
        assert nll(model.eval(), whole(x)).isfinite().all()
