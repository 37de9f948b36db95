"""T28: whatever is registered works with whatever else is."""

import itertools

import attrs
import pytest
import torch

from aios_core.config import resolve
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import draw_times, nll, training_loss
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


@pytest.mark.parametrize(
    ("noise", "sampler", "head", "backbone"),
    list(itertools.product(*map(names, ("noise", "sampler", "head", "backbone")))),
)
def test_trains_and_samples(noise, sampler, head, backbone):
    """T28: one step of training, one text, and no mask in it (T13)."""
    sections = {"noise": noise, "sampler": sampler, "head": head, "backbone": backbone}
    config = resolve({kind: {"type": name} for kind, name in sections.items()}).config
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
