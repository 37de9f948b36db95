"""A constraint on texts: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core.contracts import Automaton, Constraint, PatternExample
from aios_core.errors import InferenceError

AIOS_API = 1


@frozen
class Brackets(Constraint):
    """Text in ASCII whose brackets match, nested at most as deep as the pattern says."""

    examples = (PatternExample("2", right=("", "a (b) c", "((x))"), wrong=("(", ")(", "(((x)))")),)

    def automaton(self, pattern):
        """What may follow depends on the number of open brackets alone."""
        if not (pattern.isascii() and pattern.isdigit() and len(pattern) < 4):
            raise InferenceError(f"brackets: expected a depth from 0 to 999, got {pattern[:40]!r}")
        deepest = int(pattern)

        def moves(depth):
            yield 0, ord("(") - 1, depth  # ranges of bytes, and what they lead to
            yield ord(")") + 1, 127, depth
            if depth < deepest:
                yield ord("("), ord("("), depth + 1
            if depth > 0:
                yield ord(")"), ord(")"), depth - 1

        return Automaton.explored(0, moves, lambda depth: depth == 0)


@aios_core.hookimpl
def aios_constraints():
    """Names, and the classes they stand for."""
    return {"brackets": Brackets}
