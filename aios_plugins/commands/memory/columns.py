"""Which columns of a file become which of a store."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from attrs import field, frozen

from aios_core.errors import DataError

OURS: Final = ("text", "id", "vector")

TYPES: Final = ("string", "int64", "float64", "bool")
"""What `Columns.types` may say."""

_WORDS: Final = {"int64": "a whole number", "float64": "a number", "bool": "true or false"}


@frozen
class Columns:
    """What becomes of the columns of a file; without anything, all stay as they are.

    Raises:
        DataError: two columns get one name, or one is renamed and left out.
    """

    text: str | None = None
    """The column of texts; unset: ``text``."""
    id: str | None = None
    """The column of ids; unset: ``id``."""
    vector: str | None = None
    """The column of vectors; unset: ``vector``."""
    rename: Mapping[str, str] = field(factory=dict)
    """Old names to new ones."""
    drop: frozenset[str] = frozenset()
    """Columns that are left out."""
    types: Mapping[str, str] = field(factory=dict)
    """New names to what their values become: one of `TYPES`."""

    names: Mapping[str, str] = field(init=False)
    """Old names to new ones, those of ours included."""

    @names.default
    def _names(self) -> dict[str, str]:
        ours = [("text", self.text), ("id", self.id), ("vector", self.vector)]
        names: dict[str, str] = {}
        for new, old in (*ours, *((new, old) for old, new in self.rename.items())):
            if old is None:
                continue
            if old in names:
                raise DataError(f"column {old!r} would become {names[old]!r} and {new!r}")
            if new in names.values():
                (other,) = (its for its, name in names.items() if name == new)
                raise DataError(
                    f"columns {other!r} and {old!r} would both become {new!r}; expected one"
                )
            names[old] = new
        return names

    def __attrs_post_init__(self) -> None:
        if both := sorted(self.drop & self.names.keys()):
            raise DataError(f"column {both[0]!r} is left out and taken; expected one of both")
        for name, kind in self.types.items():
            if kind not in TYPES or name in OURS:
                raise DataError(
                    f"type {kind!r} of column {name!r}: expected {', '.join(TYPES)}, for a column "
                    f"other than {', '.join(OURS)}"
                )

    def asked(self) -> set[str]:
        """Columns that a file must have."""
        typed = {name for name in self.types if name not in self.names.values()}
        return {*self.names, *self.drop, *typed}

    def known_as(self, name: str) -> str:
        """What the file calls one of ours."""
        return next((old for old, new in self.names.items() if new == name), name)

    def check(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Look for all columns that are named here; ends as soon as each was there once.

        Raises:
            DataError: no row has one of them.
        """
        missing, others = self.asked(), dict[str, None]()
        if not missing:
            return
        for row in rows:
            missing = missing - row.keys()
            if not missing:
                return
            if len(others) < 30:
                others |= dict.fromkeys(row)
        raise DataError(
            f"no row has a column {min(missing)!r}; expected some of: {', '.join(others)}"
        )

    def applied(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row by the new names.

        Raises:
            DataError: two of its columns get one name, or a value is not of the type.
        """
        if not (self.drop or self.types or self.names):
            return row
        made: dict[str, Any] = {}
        for old, value in row.items():
            if old in self.drop:
                continue
            new = self.names.get(old, old)
            if new in made:
                raise DataError(
                    f"columns {self.known_as(new)!r} and {new!r} would both become {new!r}; `drop` "
                    "leaves one out, and `rename` gives it another name"
                )
            made[new] = _typed(new, value, self.types[new]) if new in self.types else value
        return made


def _typed(name: str, value: Any, kind: str) -> Any:
    """A value as one of another type; an empty text is none, but for texts."""
    if value is None or (value == "" and kind != "string"):
        return None
    made: Any = None
    if kind == "string":
        made = value if isinstance(value, str) else _text(value)
    elif kind == "bool":
        made = {"true": True, "false": False}.get(str(value).strip().lower())
    elif isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
        made = _number(value, kind)
    if made is None:
        shown = repr(value)[:60]
        raise DataError(f"column {name!r}: expected {_WORDS.get(kind, 'a text')}, got {shown}")
    return made


def _text(value: Any) -> str | None:
    """The digits of a number, as they are; other values have their own text."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float | Decimal) else None


def _number(value: str | float | Decimal, kind: str) -> float | None:
    """A number; for float64 the nearest, for int64 an equal one."""
    try:
        number = Decimal(value.strip() if isinstance(value, str) else value)
        if kind == "int64":
            return int(number) if number == int(number) else None
        made = float(number)
    except (ArithmeticError, ValueError):
        return None
    return made if math.isfinite(made) else None
