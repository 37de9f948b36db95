"""Constraints: which texts may be written, as a pattern says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

if TYPE_CHECKING:
    from aios_core.contracts.automaton import Automaton


@frozen
class PatternExample:
    """A pattern, texts that satisfy it, and texts that do not."""

    pattern: str
    right: Sequence[str]
    wrong: Sequence[str]


class Constraint(ABC):
    """A language for patterns of texts, as regular expressions are one.

    A user names it with a pattern, ``TYPE:PATTERN``; it is built without values, for no
    configuration holds one. It only says which texts there are, as an automaton over their bytes:
    how tokens spell them, whatever the tokenizer, and how a network is held to them, in whatever
    order a sampler fills in tokens, is the core's. A language whose states have no bound, as that
    of nested brackets, needs one in its pattern. A whole constraint is in
    ``aios_core/scaffold/examples/constraint.py``.
    """

    examples: ClassVar[Sequence[PatternExample]] = ()
    """At least one, and small: for readers, and for the contract suite."""

    @abstractmethod
    def automaton(self, pattern: str) -> Automaton:
        """The texts that satisfy a pattern as a whole; `Automaton.explored` makes one of states.

        The same pattern gives the same automaton. All texts are UTF-8; one who accepts bytes that
        are not is refused.

        Args:
            pattern: whatever a user wrote, which may be any text.

        Raises:
            InferenceError: it is not a pattern, says what cannot be promised, needs too many
                states, or no text satisfies it; the message says where, and what would be right.
        """
