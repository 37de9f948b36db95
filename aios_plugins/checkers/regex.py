"""Whether an answer is what a regular expression says."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from attrs import Attribute, field, frozen

from aios_core.contracts import Checker
from aios_plugins._grammar.expression import parse
from aios_plugins._grammar.machine import compile_pattern

if TYPE_CHECKING:
    from aios_core.contracts import Automaton, Completion


@frozen
class Regex(Checker):
    r"""An answer that matches a regular expression as a whole.

    The syntax is that of ``aios sample --regex``: an automaton reads the answer once, whatever the
    expression, so none can hang.
    """

    pattern: str = field()
    r"""As in ``[0-9]+\\.``; what looks at more than the next character is refused."""

    @pattern.validator
    def _compiles(self, attribute: Attribute[str], value: str) -> None:
        _automaton(value)

    def check(self, completion: Completion) -> bool:
        """Whether it matches."""
        return _automaton(self.pattern).matches(completion.answer.encode(errors="surrogatepass"))


@lru_cache(maxsize=16)
def _automaton(pattern: str) -> Automaton:
    return compile_pattern(parse(pattern))
