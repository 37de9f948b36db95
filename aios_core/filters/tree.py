"""What a filter is once it is read: a tree of seven kinds of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from attrs import evolve, frozen

Kind: TypeAlias = Literal["bool", "int64", "float64", "string"]
"""The type of a column, which is the type of the literals that it is compared with."""

Value: TypeAlias = bool | int | float | str

Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]


@frozen
class Compare:
    """A column against a literal of the column's own type."""

    column: str
    operator: Operator
    value: Value


@frozen
class In:
    """A column is one of some literals, at least one."""

    column: str
    values: tuple[Value, ...]


@frozen
class Like:
    """A text fits a pattern."""

    column: str
    pattern: str


@frozen
class IsNull:
    """A value is missing. This alone is never unknown."""

    column: str


@frozen
class Not:
    """The opposite; of unknown, unknown."""

    part: Expression


@frozen
class And:
    """All of two or more."""

    parts: tuple[Expression, ...]


@frozen
class Or:
    """Any of two or more."""

    parts: tuple[Expression, ...]


Expression: TypeAlias = Compare | In | Like | IsNull | Not | And | Or


def compares_texts(expression: Expression) -> bool:
    """Whether a filter holds LIKE, or compares texts by order: not every database can."""
    match expression:
        case Compare(_, operator, value):
            return isinstance(value, str) and operator not in ("=", "!=")
        case Not(part):
            return compares_texts(part)
        case And(parts) | Or(parts):
            return any(map(compares_texts, parts))
        case _:
            return isinstance(expression, Like)


def renamed(expression: Expression, names: Mapping[str, str]) -> Expression:
    """The same filter over columns of other names, for backends that keep some by another."""
    match expression:
        case Not(part):
            return Not(renamed(part, names))
        case And(parts) | Or(parts):
            return type(expression)(tuple(renamed(part, names) for part in parts))
        case _:
            return evolve(expression, column=names[expression.column])
