"""The model."""

import pytest
import torch

from aios_core.config import resolve
from aios_core.diffusion.model import Model
from aios_core.testing.modules import same_parameters

from .conftest import VOCABULARY

SMALL = {"backbone": {"dim": 8, "layers": 1, "heads": 2}}


def build(**values):
    return Model.build(resolve({**SMALL, **values}).config, VOCABULARY)


def test_seed_decides_the_weights():
    state = torch.get_rng_state()
    first, again, other = build(seed=1), build(seed=1), build(seed=2)
    assert same_parameters(first, again)
    assert not same_parameters(first, other)
    assert torch.equal(state, torch.get_rng_state()), "torch's own generator was moved"


def test_twin_starts_from_the_same_weights():
    assert same_parameters(build(mode="diffusion"), build(mode="ar"))


@pytest.mark.parametrize("mode", ["diffusion", "ar"])
def test_shapes(mode):
    model = build(mode=mode)
    x, t = torch.zeros(2, 5, dtype=torch.int64), torch.rand(2).double()
    assert torch.Size((2, 5, VOCABULARY.size)) == model(x, t).shape
    assert "cpu" == model.device.type


def test_twin_knows_no_time():
    settings = {"backbone": {**SMALL["backbone"], "time_conditioned": True}}
    assert build(**settings).time_conditioned
    twin = build(mode="ar", **settings)
    assert not twin.time_conditioned
    assert twin(torch.zeros(1, 3, dtype=torch.int64)).isfinite().all()
