"""Texts that match a regular expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from aios_core.contracts import Constraint, PatternExample
from aios_plugins._grammar.expression import parse
from aios_plugins._grammar.machine import compile_pattern

if TYPE_CHECKING:
    from aios_core.contracts import Automaton


@frozen
class Regex(Constraint):
    r"""A regular expression that a text matches as a whole.

    In the syntax of Python's ``re`` with its flag ``ASCII``, without what looks at more than the
    next character: ``\b``, look-around, and back-references are refused.
    """

    examples: ClassVar = (
        PatternExample(
            r"[a-z]+(, [a-z]+)*", right=("milk", "tea, milk"), wrong=("", "Tea", "tea,milk")
        ),
        PatternExample("[^x-z]{,3}", right=("", "é中😀"), wrong=("axe", "four")),
        PatternExample(r"-?\d{1,3}(\.\d+)?|none", right=("-12.5", "none"), wrong=("1.", "1234")),
    )

    def automaton(self, pattern: str) -> Automaton:
        """The texts that match."""
        return compile_pattern(parse(pattern))
