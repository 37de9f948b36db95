"""What every optimizer must do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from aios_core.contracts import Weight
from aios_core.testing.contracts.base import Contract, expect

if TYPE_CHECKING:
    from aios_core.contracts import Optimizer, Stepper
    from aios_core.contracts.optimizer import Role

SHAPES: tuple[tuple[str, tuple[int, ...], Role], ...] = (
    ("wide", (3, 8), "matrix"),
    ("tall", (8, 3), "matrix"),
    ("again", (3, 8), "matrix"),
    ("table", (5, 4), "embedding"),
    ("out", (4, 5), "head"),
    ("gain", (6,), "vector"),
    ("single", (), "vector"),
)


class OptimizerContract(Contract["Optimizer"]):
    """Subclass it and set ``component``: an optimizer's class, or one that is built."""

    varied: ClassVar = {
        "test_state_is_there_from_the_start": {},
        "test_goes_on_from_its_state": {},
        "test_a_skipped_step_changes_nothing": {},
        "test_weights_without_a_gradient_stay": {},
        "test_decay_is_for_matrices": {},
    }

    @classmethod
    def try_out(cls, plugin: Optimizer) -> None:
        """It has a state of tensors, and does a step."""
        weights = _weights()
        stepper = plugin.build(weights, weight_decay=0.1)
        state = stepper.state
        assert isinstance(state, Mapping), f"state is {type(state).__name__}; expected a Mapping"
        for tensor in state.values():
            expect(tensor, Tensor, "state")
        _step(stepper, weights, 0)
        for weight in weights:
            assert weight.tensor.isfinite().all(), f"{weight.name} is not finite after a step"

    def test_state_is_there_from_the_start(self, instance: Optimizer) -> None:
        """A checkpoint is read into the tensors of a stepper that has not seen a gradient."""
        weights = _weights()
        stepper = instance.build(weights, weight_decay=0.1)
        before = {name: tensor.shape for name, tensor in stepper.state.items()}
        _step(stepper, weights, 0)
        after = {name: tensor.shape for name, tensor in stepper.state.items()}
        assert before == after, "names or shapes change with the first step"
        places = [tensor.data_ptr() for tensor in stepper.state.values() if tensor.numel()]
        assert len(places) == len({*places}), "two tensors share memory"

    def test_goes_on_from_its_state(self, instance: Optimizer) -> None:
        """Bit for bit: what is not in its state it does not remember."""
        weights, others = _weights(), _weights()
        stepper, other = (instance.build(group, weight_decay=0.1) for group in (weights, others))
        for number in range(3):
            _step(stepper, weights, number)
        with torch.no_grad():
            for weight, copy in zip(weights, others, strict=True):
                copy.tensor.copy_(weight.tensor)
            for name, tensor in other.state.items():
                tensor.copy_(stepper.state[name])
        for number in range(3, 5):
            _step(stepper, weights, number)
            _step(other, others, number)
        for weight, copy in zip(weights, others, strict=True):
            assert torch.equal(weight.tensor, copy.tensor), (
                f"{weight.name} is another after going on"
            )

    def test_a_skipped_step_changes_nothing(self, instance: Optimizer) -> None:
        """Whatever the gradients are; one that is not skipped is a step like any other."""
        weights, others = _weights(), _weights()
        stepper, other = (instance.build(group, weight_decay=0.1) for group in (weights, others))
        _step(stepper, weights, 0)
        _step(other, others, 0, skip=torch.zeros(()))
        for weight, copy in zip(weights, others, strict=True):
            assert torch.equal(weight.tensor, copy.tensor), (
                f"skip = 0 is another step for {weight.name}"
            )
        held = {**stepper.state, **{f"weight {weight.name}": weight.tensor for weight in weights}}
        before = {name: tensor.detach().clone() for name, tensor in held.items()}
        for value in (0.5, torch.inf, torch.nan):
            for weight in weights:
                weight.tensor.grad = torch.full_like(weight.tensor, value)
            stepper.step(0.01, skip=torch.ones(()))
            for name, tensor in held.items():
                assert torch.equal(before[name], tensor), f"{name} changes in a skipped step"

    def test_weights_without_a_gradient_stay(self, instance: Optimizer) -> None:
        """Those that no loss depends on."""
        weights = _weights()
        stepper = instance.build(weights, weight_decay=0.1)
        _step(stepper, weights, 0)
        before = [weight.tensor.detach().clone() for weight in weights]
        for other in weights:
            other.tensor.grad = None
        stepper.step(0.01)
        for other, tensor in zip(weights, before, strict=True):
            assert torch.equal(other.tensor, tensor), f"{other.name} moves without a gradient"

    def test_decay_is_for_matrices(self, instance: Optimizer) -> None:
        """Where gradients are zero, decay alone moves a weight, and none of the others."""
        weights = _weights()
        before = [weight.tensor.detach().clone() for weight in weights]
        for other in weights:
            other.tensor.grad = torch.zeros_like(other.tensor)
        instance.build(weights, weight_decay=0.5).step(0.1)
        for other, tensor in zip(weights, before, strict=True):
            left = 0.95 if other.decays else 1.0
            torch.testing.assert_close(other.tensor.detach(), left * tensor)

    def test_goes_down(self, instance: Optimizer) -> None:
        """On a bowl, to a tenth of its height at most."""
        weights = _weights()
        stepper = instance.build(weights, weight_decay=0.0)
        for number in range(400):
            for weight in weights:
                weight.tensor.grad = weight.tensor.detach().clone()
            stepper.step(0.05 * (1 - number / 400))
        for weight, start in zip(weights, _weights(), strict=True):
            height = float((weight.tensor.norm() / start.tensor.norm()).detach() ** 2)
            assert height < 0.1, f"{weight.name} is still at {height:.2g} of its height"


def _weights() -> tuple[Weight, ...]:
    generator = torch.Generator().manual_seed(3)
    return tuple(
        Weight(name, torch.randn(shape, generator=generator).requires_grad_(), role)
        for name, shape, role in SHAPES
    )


def _step(
    stepper: Stepper, weights: tuple[Weight, ...], number: int, skip: Tensor | None = None
) -> None:
    """One step along drawn gradients."""
    generator = torch.Generator().manual_seed(number)
    for weight in weights:
        weight.tensor.grad = torch.randn(weight.tensor.shape, generator=generator)
    stepper.step(0.01, skip=skip)
