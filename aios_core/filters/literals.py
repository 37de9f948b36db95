"""Literals made to have the type of the column that they are compared with.

A backend then translates what it is given, and its own rules for mixed types never apply: 2020 and
2020.0 mean the same in every column, and 2020.5 lies between two whole numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from aios_core.filters.tree import Compare, Expression, In, Operator

LEAST: Final = -(2**63)
MOST: Final = 2**63 - 1


class OutOfRangeError(ValueError):
    """A column holds no number as large as this; says what would be right."""


def whole(text: str) -> Decimal:
    """A number for a column of whole numbers; exact, for it may lie between two of them.

    Raises:
        OutOfRangeError: it is beyond int64, however it is written.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of twenty digits
        number = Decimal("Infinity")
    if not LEAST <= number <= MOST:
        raise OutOfRangeError(f"{text} is out of range; expected a number from -2^63 to 2^63 - 1")
    return number


def floating(text: str) -> float:
    """A number for a column of float64: the nearest one, and no negative zero.

    Raises:
        OutOfRangeError: there is none.
    """
    number = float(text) + 0.0
    if not math.isfinite(number):
        raise OutOfRangeError(f"{text} is out of range; expected a number that float64 holds")
    return number


def compare_whole(column: str, operator: Operator, number: Decimal) -> Expression:
    """A column of whole numbers against any number, as a comparison with a whole one."""
    below = math.floor(number)
    if below == number:
        return Compare(column, operator, below)
    match operator:
        case "=":
            return never(column)
        case "!=":
            return Compare(column, ">=", LEAST)
        case "<" | "<=":
            return Compare(column, "<=", below)
        case _:
            return Compare(column, ">=", below + 1)


def among_whole(column: str, numbers: Sequence[Decimal]) -> Expression:
    """Whether a column of whole numbers is one of some numbers; fractions match nothing."""
    kept = tuple(int(number) for number in numbers if number == math.floor(number))
    return In(column, kept) if kept else never(column)


def never(column: str) -> Expression:
    """False for every whole number; like any comparison unknown where there is none."""
    return Compare(column, "<", LEAST)


def pattern(text: str) -> str:
    r"""A pattern of LIKE with a backslash before ``%``, ``_`` and ``\`` alone.

    What databases make of a backslash before another character, or at the end, differs; here it
    takes the next one as it is, and at the end is itself.
    """

    def plain(match: re.Match[str]) -> str:
        taken = match[1] or "\\"
        return f"\\{taken}" if taken in "%_\\" else taken

    return re.sub(r"\\(.|\Z)", plain, text, flags=re.DOTALL)
