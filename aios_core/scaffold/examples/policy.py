"""A policy of evolution: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core.contracts import EvolutionPolicy
from aios_core.contracts.policy import Choice

AIOS_API = 1


@frozen
class Largest(EvolutionPolicy):
    """Begins with the last level, which may change the most, and steps down."""

    def choose(self, situation):
        """Those that have not failed, the last one first."""
        left = [level for level in situation.levels if level.name not in situation.failed]
        return [Choice(level, "it is the largest that is left") for level in reversed(left)]


@aios_core.hookimpl
def aios_evolution_policies():
    """Names, and the classes they stand for."""
    return {"largest": Largest}
