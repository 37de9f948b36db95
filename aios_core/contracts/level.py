"""Evolution levels: ways to adapt a trained model, each of which can be taken off again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import field, frozen, validators

from aios_core.contracts.sequences import Sequences
from aios_core.errors import EvolutionError

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts.model import AnyNetwork, Network


Windows = Sequences
"""Sequences cut from texts, on the CPU."""


@frozen(eq=False)
class Experience:
    """What a level may look at: the evidence for fitting. No gate and no report is made of it."""

    target: Windows
    """Texts to adapt to; at least one row."""
    base: Windows
    """Texts of the kind that the model was trained on, for replay; may be empty."""
    seed: int = 0
    """Decides all that is drawn: the same experience gives the same adaptation, bit for bit."""


@frozen
class Budget:
    """What an adaptation may cost at most."""

    share: float = field(default=0.1, validator=[validators.gt(0), validators.le(1)])
    """Of the model's parameters: those that are changed, or added."""
    steps: int = field(default=200, validator=validators.ge(0))
    """Optimiser steps."""
    batch_size: int = field(default=16, validator=validators.ge(1))
    """Rows of the target a step."""


@frozen(eq=False)
class Adaptation:
    """What was learned: all that `EvolutionLevel.apply` needs besides the model itself."""

    config: dict[str, Any]
    """Plain data, kept as ``adapter_config.json``."""
    tensors: dict[str, Tensor]
    """Kept as ``adapter_model.safetensors``; on the CPU, contiguous, no two share memory."""
    parameters: int
    """How many of the model's were changed, or were added to them."""


class EvolutionLevel(ABC):
    """A way to adapt a model.

    A level proposes and nothing more: whether an adaptation stays is decided by the gate, on texts
    that the level never sees, and a history keeps it. Both methods leave the model that they are
    given as it is, tensor by tensor; so switching an adaptation off is to use the model underneath
    again, and is exact. ``model.fork()`` gives modules to put things into, which share every tensor
    with the model until one is put in another's place, and `aios_core.training.fitting.fit` trains
    the tensors that it is given. A whole level is in ``aios_core/scaffold/examples/level.py``.
    """

    name: ClassVar[str]
    """Registry name: what a version says, so that it is applied by the level that made it."""

    @abstractmethod
    def adapt(self, model: Network, experience: Experience, budget: Budget) -> Adaptation:
        """Learn from evidence; the model is left as it is.

        Args:
            model: trained, with whatever was applied to it before.
            experience: texts to learn from, and the seed.
            budget: what it may cost.

        Raises:
            EvolutionError: it cannot be done within the budget, or for such a model.
        """

    @abstractmethod
    def apply(self, model: AnyNetwork, adaptation: Adaptation) -> AnyNetwork:
        """The model with an adaptation; the one that is given is left as it is.

        What is applied says itself how: an instance of all defaults applies what any other made.

        Args:
            model: the one that it was learned on, or one of the same shape.
            adaptation: from `adapt`, or from a file, which is not to be trusted.

        Raises:
            EvolutionError: it does not fit the model, or is damaged.
        """

    def merge(self, parts: Sequence[tuple[Adaptation, float]]) -> Adaptation:
        """One adaptation that does what several do, each by its weight; few levels know how.

        Args:
            parts: at least one, all learned on one model, with a factor of what it changes each.

        Raises:
            EvolutionError: they cannot be merged.
        """
        raise EvolutionError(
            f"{self.name} cannot merge what it learned; expected a skill on top of the other"
        )
