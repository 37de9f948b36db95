"""Hard constraints: texts that satisfy a regular expression or a schema, by whichever sampler.

pattern -> automaton over bytes -> automaton over tokens -> what may be drawn, and how likely
"""

from aios_core.diffusion.constraints.automaton import Automaton, compile_pattern
from aios_core.diffusion.constraints.constraint import Constraint
from aios_core.diffusion.constraints.regex import parse
from aios_core.diffusion.constraints.schema import compile_schema
from aios_core.diffusion.constraints.tokens import TokenAutomaton, lift

__all__ = [
    "Automaton",
    "Constraint",
    "TokenAutomaton",
    "compile_pattern",
    "compile_schema",
    "lift",
    "parse",
]
