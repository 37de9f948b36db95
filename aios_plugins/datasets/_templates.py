"""Templates with named slots, as in ``"Question: {question} Answer: "``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from string import Formatter
from typing import Any

from attrs import frozen

from aios_core.contracts import Control, TextContent, content_of
from aios_core.contracts.reader import writable
from aios_core.errors import DataError


@frozen
class Template:
    """Literal texts, each but the last with the slot that follows it."""

    parts: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template.

        Args:
            text: slots in braces; doubled braces stand for themselves.

        Raises:
            ValueError: a brace has no partner, or a slot holds more than a name.
        """
        parts: list[tuple[str, str | None]] = []
        for literal, slot, spec, conversion in Formatter().parse(text):
            if slot == "" or spec or conversion:
                raise ValueError(
                    f"expected names alone in braces, and {{{{ and }}}} for braces, got {text!r}"
                )
            parts.append((literal, slot))
        return cls(tuple(parts))

    @classmethod
    def of_column(cls, text: str) -> Template:
        """A template, or, without braces, the column that a text names.

        Raises:
            ValueError: as for `parse`, or there is no column in it.
        """
        if "{" not in text and "}" not in text:
            return cls((("", text),))
        template = cls.parse(text)
        if not template.slots:
            raise ValueError(f"expected a column in braces, got {text!r}")
        return template

    @property
    def slots(self) -> tuple[str, ...]:
        """The names in it."""
        return tuple(slot for _, slot in self.parts if slot is not None)

    def around(self, slot: str) -> tuple[str, str]:
        """What stands before and behind its only slot."""
        (before, _), *rest = self.parts
        return before, "".join(literal for literal, _ in rest)

    def filled(self, values: Mapping[str, Any], where: str) -> TextContent:
        """The text for the values of a row, which stay apart from what the template says.

        Args:
            values: by column: texts or numbers, which are written as JSON writes them.
            where: they are from.

        Raises:
            DataError: a column is missing, or holds something else.
        """
        parts: list[str | Control] = []
        for literal, slot in self.parts:
            parts += [Control(literal), "" if slot is None else plain(values, slot, where)]
        return content_of(*parts)


def plain(values: Mapping[str, Any], column: str, where: str) -> str:
    """A value of a row as text.

    Raises:
        DataError: there is none, or it is neither text nor a number.
    """
    if column not in values:
        raise DataError(
            f"{where}: no column {column!r}; expected one of {', '.join(map(str, values))}"
        )
    value = values[column]
    if isinstance(value, str):
        if not writable(value):
            raise DataError(
                f"{where}: {column!r} holds half of a surrogate pair, which is not text"
            )
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(value)
    raise DataError(f"{where}: {column!r} is {type(value).__name__}; expected text or a number")
