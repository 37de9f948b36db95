"""What texts may be: regular expressions and JSON Schema as automata over bytes.

regular expression, or schema -> pattern -> automaton. Nothing here knows tokens or networks: see
`aios_core.diffusion.constraints`.
"""

from aios_core.grammar.automaton import Automaton, compile_pattern
from aios_core.grammar.pattern import Pattern
from aios_core.grammar.regex import parse
from aios_core.grammar.schema import compile_schema

__all__ = ["Automaton", "Pattern", "compile_pattern", "compile_schema", "parse"]
