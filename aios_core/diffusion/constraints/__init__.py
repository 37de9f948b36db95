"""Hard constraints: texts that an automaton accepts, by whichever sampler.

automaton over bytes (`aios_core.grammar`) -> automaton over tokens -> what may be drawn, and how
likely
"""

from aios_core.diffusion.constraints.constraint import Constraint
from aios_core.diffusion.constraints.tokens import TokenAutomaton, lift

__all__ = ["Constraint", "TokenAutomaton", "lift"]
