"""An optimizer: one class and the hook that offers it."""

import torch
from attrs import field, frozen, validators

import aios_core
from aios_core import contracts

AIOS_API = 1


class _Stepper:
    def __init__(self, weights, momentum, weight_decay):
        self.weights, self.momentum, self.weight_decay = weights, momentum, weight_decay
        self.state = {weight.name: torch.zeros_like(weight.tensor) for weight in weights}

    @torch.no_grad()
    def step(self, learning_rate, *, skip=None):
        """Change the weights by their gradients, or nothing where skip, a tensor (), is 1."""
        rate = learning_rate if skip is None else learning_rate * (1 - skip)
        for weight in self.weights:
            gradient, average = weight.tensor.grad, self.state[weight.name]
            if gradient is None:
                continue
            if skip is not None:  # then it may be infinite, and is not to be met
                gradient = average.where(skip.bool(), gradient)
            if weight.decays:
                weight.tensor.mul_(1 - rate * self.weight_decay)
            weight.tensor.sub_(average.lerp(gradient, 0.1).sign() * rate)
            average.lerp_(gradient, 1 - self.momentum)


@frozen
class Lion(contracts.Optimizer):
    """Steps by the sign of an average (arXiv 2302.06675), at a tenth of AdamW's learning rate."""

    momentum: float = field(default=0.99, validator=[validators.ge(0), validators.lt(1)])
    """Decay of the average of gradients."""

    def build(self, weights, *, weight_decay):
        """A stepper that has not seen a gradient yet."""
        return _Stepper(weights, self.momentum, weight_decay)


@aios_core.hookimpl
def aios_optimizers():
    """Names, and the classes they stand for."""
    return {"lion": Lion}
