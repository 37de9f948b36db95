"""Hard constraints: texts that an automaton accepts, by whichever sampler.

automaton over bytes (`aios_core.contracts.Automaton`) -> automaton over tokens -> what may be
drawn, and how likely
"""

from aios_core.diffusion.constraints.constraint import TokenConstraint
from aios_core.diffusion.constraints.tokens import TokenAutomaton, lift

__all__ = ["TokenAutomaton", "TokenConstraint", "lift"]
