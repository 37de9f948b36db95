"""T28: whatever is registered works with whatever else is."""

import itertools

import attrs
import pytest
import torch

from aios_core.config import resolve
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import draw_times, nll, training_loss
from aios_core.errors import ConfigError
from aios_core.registry import Registry

from .conftest import VOCABULARY

REGISTRY = Registry.discover()


def names(kind):
    return [component.name for component in REGISTRY.components(kind)]


def train_one_step(model):
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randint(3, (4, 8), generator=generator)
    model.train()
    loss = training_loss(model, x, torch.ones_like(x).bool(), draw_times(4, generator), generator)
    loss.backward()
    optimiser.step()
    assert loss.isfinite()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    return x


KINDS = ("noise", "corruption", "sampler", "head", "backbone")


@pytest.mark.parametrize(KINDS, list(itertools.product(*map(names, KINDS))))
def test_trains_and_samples(noise, corruption, sampler, head, backbone):
    """T28: one step of training, one text, and no mask in it (T13); or refused beforehand."""
    sections = dict(zip(KINDS, (noise, corruption, sampler, head, backbone), strict=True))
    values = {kind: {"type": name} for kind, name in sections.items()}
    serves = not REGISTRY.get("sampler", sampler).load().absorbing_only
    if not (serves or REGISTRY.get("corruption", corruption).load().absorbing):
        with pytest.raises(ConfigError, match=r"sampler: \w+ works with masks alone"):
            resolve(values, registry=REGISTRY)
        return
    config = resolve(values, registry=REGISTRY).config
    model = Model.build(config, VOCABULARY)
    x = train_one_step(model)
    sampler = config.sampler
    if "steps" in attrs.fields_dict(type(sampler)):
        sampler = attrs.evolve(sampler, steps=4)
    core = DiffusionCore(model, sampler, config.noise, VOCABULARY.mask_id)
    result = core.sample(torch.full_like(x, VOCABULARY.mask_id), seeds=range(4))
    assert not (result.ids == VOCABULARY.mask_id).any()
    assert result.nfe >= 1


@pytest.mark.parametrize(
    ("head", "backbone"), list(itertools.product(names("head"), names("backbone")))
)
def test_twin_trains(head, backbone):
    """T28: one step of training, and a likelihood."""
    values = {"mode": "ar", "head": {"type": head}, "backbone": {"type": backbone}}
    model = Model.build(resolve(values).config, VOCABULARY)
    x = train_one_step(model)
    with torch.no_grad():
        assert nll(model.eval(), x, torch.ones_like(x).bool()).isfinite().all()
