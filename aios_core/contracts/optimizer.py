"""Optimizers: how a gradient changes the weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from torch import Tensor

Role = Literal["matrix", "embedding", "head", "vector"]
"""What a weight is in the network: a ``matrix`` maps states to states; an ``embedding`` holds one
vector a token; a matrix of the ``head`` maps states to logits, and one of a learned schedule counts
as such; a ``vector`` is a gain, a bias or a single number."""


@frozen(eq=False)
class Weight:
    """A parameter, and what an optimizer may wish to know of it."""

    name: str
    """Its path in the network."""
    tensor: Tensor
    """A leaf; its gradient is in ``tensor.grad``, and None where the loss does not depend on it."""
    role: Role
    """What it is."""

    @property
    def decays(self) -> bool:
        """Whether weight decay is meant for it: it is for matrices, the head's too."""
        return self.role in {"matrix", "head"}


class Stepper(Protocol):
    """An optimizer at work on the weights of one network."""

    @property
    def state(self) -> Mapping[str, Tensor]:
        """All that it remembers between steps, by name: live tensors that share no memory.

        Names and shapes are the same from the start on. A checkpoint keeps the tensors; a run that
        goes on copies them back into those of a new stepper.
        """
        ...

    def step(self, learning_rate: float, *, skip: Tensor | None = None) -> None:
        """Change the weights in place by their gradients; those without a gradient stay.

        Args:
            learning_rate: of this step.
            skip: () float32 on the device of the weights, 1 where the step must change neither
                weights nor state, whatever the gradients are (they are not finite then), and 0
                otherwise. On an accelerator it is not to be read, for that would wait. None: 0.
        """
        ...


class Optimizer(ABC):
    """Changes weights by gradients, which are clipped to ``training.clip_norm`` before.

    How large steps are is for the schedule of the learning rate (`LrSchedule`) to say.
    """

    @abstractmethod
    def build(self, weights: Sequence[Weight], *, weight_decay: float) -> Stepper:
        """A stepper that has not seen a gradient yet.

        Args:
            weights: of one network, all on one device.
            weight_decay: ``training.weight_decay``: what a weight that `Weight.decays` loses of
                itself in a step of learning rate 1.
        """
