"""Policies of evolution: which level is tried first, and which after it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from aios_core.contracts.level import EvolutionLevel


@frozen
class Choice:
    """A level to try."""

    level: EvolutionLevel
    why: str


@frozen
class Situation:
    """What a policy may look at."""

    levels: tuple[EvolutionLevel, ...]
    """Those of ``[[levels]]``, in their order."""
    failed: frozenset[str]
    """Names of levels that did not pass the gate on this evidence, from this model."""
    measure: Callable[[], float] = field(repr=False)
    """Measures how unsure the model is of the evidence, in standard deviations above texts like
    those of its training; it takes some passes of the network."""

    def climb(self, start: int, why: str) -> list[Choice]:
        """Levels from one on, each after those before it failed; those that have failed left out.

        Args:
            start: number of the first, from 0.
            why: it is the first.
        """
        choices: list[Choice] = []
        for level in self.levels[start:]:
            if level.name in self.failed:
                why = f"{level.name} did not pass the gate before"
                continue
            choices.append(Choice(level, why))
            why = f"{level.name} did not pass the gate"
        return choices


class EvolutionPolicy(ABC):
    """Says which levels are tried, one after the other until one passes the gate.

    A whole policy is in ``aios_core/scaffold/examples/policy.py``.
    """

    @abstractmethod
    def choose(self, situation: Situation) -> Sequence[Choice]:
        """Levels of the situation in the order in which to try them, each at most once.

        None that has failed is among them; nothing where all have failed.
        """
