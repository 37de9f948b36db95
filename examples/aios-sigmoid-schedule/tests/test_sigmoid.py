"""The contract of noise schedules, and what is special about this one."""

import aios_sigmoid
import torch
from aios_sigmoid import Sigmoid

from aios_core.registry import Registry
from aios_core.testing.contracts.noise import NoiseContract


class TestSigmoid(NoiseContract):
    component = Sigmoid


class TestSteep(NoiseContract):
    component = Sigmoid(sharpness=10.0)


def test_it_is_registered():
    registry = Registry.empty()
    registry.add(aios_sigmoid)

    assert Sigmoid is registry.get("noise", "sigmoid").load()


def test_it_is_symmetric():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)

    torch.testing.assert_close(Sigmoid().alpha(t), 1 - Sigmoid().alpha(1 - t))


def test_it_becomes_a_straight_line():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)

    torch.testing.assert_close(1 - t, Sigmoid(sharpness=1e-4).alpha(t))
