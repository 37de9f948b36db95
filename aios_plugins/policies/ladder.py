"""One level after the other."""

from __future__ import annotations

from attrs import frozen

from aios_core.contracts import EvolutionPolicy
from aios_core.contracts.policy import Choice, Situation


@frozen
class Ladder(EvolutionPolicy):
    """Begins with the first of ``[[levels]]``; one that fails the gate is followed by the next."""

    def choose(self, situation: Situation) -> list[Choice]:
        """All that have not failed, in their order."""
        return situation.climb(0, "it is the first of the ladder")
