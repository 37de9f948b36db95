"""A filter as SQL."""

from __future__ import annotations

from collections.abc import Callable

from aios_core.filters.tree import And, Compare, Expression, In, IsNull, Like, Not, Value


def quoted(name: str) -> str:
    """A column's name in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: Value) -> str:
    """A literal, as `parse` reads it."""
    if isinstance(value, bool):
        return str(value).upper()
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def sql(
    expression: Expression,
    *,
    column: Callable[[str], str] = quoted,
    value: Callable[[Value], str] = literal,
) -> str:
    """The text of a filter; `parse` gives the same tree for it.

    Args:
        expression: a tree.
        column: how a dialect writes names.
        value: how it writes literals; a driver's place holder, for one.

    Examples:
        >>> from aios_core.filters import parse
        >>> tree = parse("year between 2020 and 2022", {"year": "int64"})
        >>> sql(tree)
        '("year" >= 2020) AND ("year" <= 2022)'
        >>> sql(tree, value=lambda _: "%s")  # for a driver that takes values by themselves
        '("year" >= %s) AND ("year" <= %s)'
    """
    match expression:
        case Compare(name, operator, right):
            return f"{column(name)} {operator} {value(right)}"
        case In(name, values):
            return f"{column(name)} IN ({', '.join(map(value, values))})"
        case Like(name, pattern):
            return f"{column(name)} LIKE {value(pattern)}"
        case IsNull(name):
            return f"{column(name)} IS NULL"
        case Not(part):
            return f"NOT ({sql(part, column=column, value=value)})"
        case _:
            word = " AND " if isinstance(expression, And) else " OR "
            return word.join(f"({sql(p, column=column, value=value)})" for p in expression.parts)
