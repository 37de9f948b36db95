"""T28: whatever is registered works with whatever else is."""

import itertools
from functools import cache

import attrs
import pytest
import torch

from aios_core.config import resolve
from aios_core.contracts import Corruption
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import draw_times, nll, training_loss
from aios_core.errors import ConfigError
from aios_core.registry import Registry

from .conftest import VOCABULARY

REGISTRY = Registry.discover()


def names(kind):
    return [component.name for component in REGISTRY.components(kind)]


def train_one_step(model, objective):
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randint(3, (4, 8), generator=generator)
    model.train()
    times = draw_times(4 * (8 // model.block_size or 1), generator).view(4, -1)
    valid = torch.ones_like(x).bool()
    loss = training_loss(model, x, valid, times, generator, objective=objective)
    loss.backward()
    optimiser.step()
    assert loss.isfinite()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    return x


TRAINED = ("noise", "corruption", "objective", "head", "backbone")
SAMPLED = ("noise", "corruption", "sampler")


def chosen(kinds, given, **sections):
    """The configuration of these components, or None where it is refused beforehand."""
    values = {kind: {"type": name} for kind, name in zip(kinds, given, strict=True)}
    parts = [REGISTRY.get(kind, name).load() for kind, name in zip(kinds, given, strict=True)]
    absorbing = next(one.absorbing for one in parts if issubclass(one, Corruption))
    if not absorbing and any(getattr(one, "absorbing_only", False) for one in parts):
        with pytest.raises(ConfigError, match=r"(sampler|objective): \w+ works with masks alone"):
            resolve({**values, **sections}, registry=REGISTRY)
        return None
    return resolve({**values, **sections}, registry=REGISTRY).config


@pytest.mark.parametrize(TRAINED, list(itertools.product(*map(names, TRAINED))))
def test_trains(noise, corruption, objective, head, backbone):
    """T28: one step, plain and, where it can be, in blocks; what cannot work is refused."""
    given = noise, corruption, objective, head, backbone
    for blocks in (None, 4) if corruption == "absorbing" else (None,):
        diffusion = {"length": 8} if blocks is None else {"length": 8, "block_size": blocks}
        if config := chosen(TRAINED, given, diffusion=diffusion):
            train_one_step(Model.build(config, VOCABULARY), config.objective)


@cache
def trained(corruption):
    """A network that was trained for a step; whichever schedule it was trained under."""
    config = resolve({"corruption": {"type": corruption}}, registry=REGISTRY).config
    model = Model.build(config, VOCABULARY)
    train_one_step(model, config.objective)
    return model


@pytest.mark.parametrize(SAMPLED, list(itertools.product(*map(names, SAMPLED))))
def test_samples(noise, corruption, sampler):
    """T28, T13: texts without masks, or refused beforehand."""
    if config := chosen(SAMPLED, (noise, corruption, sampler)):
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
        assert nll(model.eval(), x, torch.ones_like(x).bool()).isfinite().all()
