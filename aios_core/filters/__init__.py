"""One filter language for every store, a small part of SQL.

``lang = 'en' AND year >= 2020 AND (title LIKE '%cat%' OR tag IN ('a', 'b')) AND note IS NOT NULL``

A column stands on the left, a literal on the right: ``=``, ``!=`` (or ``<>``), ``<``, ``<=``,
``>``, ``>=``, ``[NOT] IN (...)``, ``[NOT] BETWEEN a AND b``, ``[NOT] LIKE``, ``IS [NOT] NULL``,
joined by ``AND``, ``OR``, ``NOT`` and parentheses. Texts stand in single quotes (``''`` is one of
them), names that are no words in double quotes; a column of booleans is a condition by itself. In
``LIKE``, ``%`` is any text, ``_`` any character, and a backslash takes the next one as it is.
Texts are compared by code point. A number means the same however it is written, and is compared
exactly with whole numbers (2020.5 lies between two of them); in a column of float64 it is the
nearest one. As in SQL, a comparison with a missing value is neither true nor
false, and only rows for which the whole is true are chosen.

`parse` makes a tree of it once, in which every literal has the type of its column; a backend
translates the tree.
"""

from aios_core.filters.parser import parse
from aios_core.filters.sql import sql
from aios_core.filters.tree import (
    And,
    Compare,
    Expression,
    In,
    IsNull,
    Kind,
    Like,
    Not,
    Or,
    Value,
    compares_texts,
    renamed,
)

__all__ = [
    "And",
    "Compare",
    "Expression",
    "In",
    "IsNull",
    "Kind",
    "Like",
    "Not",
    "Or",
    "Value",
    "compares_texts",
    "parse",
    "renamed",
    "sql",
]
