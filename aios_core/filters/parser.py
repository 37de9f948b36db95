"""From the text of a filter to its tree; every error says where."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from aios_core.errors import StorageError
from aios_core.filters import literals
from aios_core.filters.tree import (
    And,
    Compare,
    Expression,
    In,
    IsNull,
    Kind,
    Like,
    Not,
    Operator,
    Or,
)

MAX_DEPTH: Final = 64
"""Parentheses and NOTs within each other; more is hostile, and would end in a RecursionError."""

_TOKEN: Final = re.compile(
    r"(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<text>'(?:[^']|'')*')"
    r'|(?P<name>"(?:[^"]|"")+")'
    r"|(?P<word>[^\W\d]\w*)"
    r"|(?P<sign><=|>=|<>|!=|[=<>(),])"
    r"|(?P<end>\Z)",
    re.ASCII,
)
_KEYWORDS: Final = frozenset(
    ["AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS", "NULL", "TRUE", "FALSE"]
)
_OPERATORS: Final[Any] = {operator: operator for operator in ("=", "!=", "<", "<=", ">", ">=")} | {
    "<>": "!="
}


def parse(text: str, columns: Mapping[str, Kind]) -> Expression:
    """Read a filter.

    Args:
        text: in the language of `aios_core.filters`.
        columns: those that may be named, with their types; literals in the tree have them too.

    Raises:
        StorageError: it cannot be read, names a column that is not there, or compares one with
            a literal of another type; with the position.

    Examples:
        >>> parse("year >= 2020 AND lang = 'en'", {"year": "int64", "lang": "string"})
        And(parts=(Compare(column='year', operator='>=', value=2020),
                   Compare(column='lang', operator='=', value='en')))
        >>> parse("year >= 'x'", {"year": "int64"})
        Traceback (most recent call last):
        aios_core.errors.StorageError: filter: expected a number, for column 'year' is int64; ...
    """
    return _Parser(text, columns).whole()


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Parser:
    """Recursive descent with one token of look-ahead."""

    def __init__(self, text: str, columns: Mapping[str, Kind]) -> None:
        self._text, self._columns, self._depth = text, columns, 0
        self._token = self._scan(0)

    def whole(self) -> Expression:
        expression = self._or()
        if self._token.kind != "end":
            raise self._error("AND, OR or the end")
        return expression

    def _scan(self, at: int) -> _Token:
        while at < len(self._text) and self._text[at].isspace():
            at += 1
        match = _TOKEN.match(self._text, at)
        if match is None:
            raise self._fault(
                at, f"expected a column, a sign or a value; cannot read {self._text[at]!r}"
            )
        assert match.lastgroup is not None
        kind, text = match.lastgroup, match.group()
        if kind == "word" and text.upper() in _KEYWORDS:
            kind, text = "keyword", text.upper()
        return _Token(kind, text, at)

    def _next(self) -> _Token:
        """The token, after which the next one is looked at."""
        token = self._token
        size = len(token.text)
        self._token = self._scan(token.at + size)
        return token

    def _take(self, *texts: str) -> str | None:
        """A keyword or sign, if it comes next."""
        if self._token.kind in ("keyword", "sign") and self._token.text in texts:
            return self._next().text
        return None

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            raise self._error(text)

    def _or(self) -> Expression:
        return self._chain("OR", self._and, Or)

    def _and(self) -> Expression:
        return self._chain("AND", self._not, And)

    def _chain(self, word: str, part: Callable[[], Expression], join: Any) -> Expression:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return join(tuple(parts)) if len(parts) > 1 else parts[0]

    def _not(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._fault(
                self._token.at, f"is nested deeper than {MAX_DEPTH} levels; expected a flatter one"
            )
        if self._take("NOT"):
            expression: Expression = Not(self._not())
        elif self._take("("):
            expression = self._or()
            self._expect(")")
        else:
            expression = self._condition()
        self._depth -= 1
        return expression

    def _condition(self) -> Expression:
        column, kind = self._column()
        if self._take("IS"):
            negated = self._take("NOT")
            self._expect("NULL")
            return Not(IsNull(column)) if negated else IsNull(column)
        if operator := self._take(*_OPERATORS):
            at = self._token.at
            if kind == "bool" and operator not in ("=", "!=", "<>"):
                raise self._fault(at, f"column {column!r} is bool, which has no order; expected =")
            return self._comparison(column, kind, _OPERATORS[operator])
        negated = self._take("NOT")
        expression = self._range(column, kind)
        if expression is None and (negated or kind != "bool"):
            raise self._error("IN, LIKE or BETWEEN" if negated else f"an operator after {column!r}")
        if expression is None:
            return Compare(column, "=", value=True)
        return Not(expression) if negated else expression

    def _range(self, column: str, kind: Kind) -> Expression | None:
        """What NOT may stand before."""
        if self._take("IN"):
            self._expect("(")
            values = [self._literal(column, kind)]
            while self._take(","):
                values.append(self._literal(column, kind))
            self._expect(")")
            if kind == "int64":
                return literals.among_whole(column, values)
            return In(column, tuple(values))
        if self._take("LIKE"):
            at = self._token.at
            if kind != "string":
                raise self._fault(at, f"column {column!r} is {kind}; expected a text before LIKE")
            return Like(column, literals.pattern(self._literal(column, kind)))
        if self._take("BETWEEN"):
            if kind == "bool":
                raise self._fault(
                    self._token.at, f"column {column!r} is bool, which has no order; expected ="
                )
            low = self._comparison(column, kind, ">=")
            self._expect("AND")
            return And((low, self._comparison(column, kind, "<=")))
        return None

    def _comparison(self, column: str, kind: Kind, operator: Operator) -> Expression:
        value = self._literal(column, kind)
        if kind == "int64":
            return literals.compare_whole(column, operator, value)
        return Compare(column, operator, value)

    def _column(self) -> tuple[str, Kind]:
        if self._token.kind not in ("word", "name"):
            raise self._error("a column")
        token = self._next()
        name = token.text
        if token.kind == "name":
            name = name[1:-1].replace('""', '"')
        if name not in self._columns:
            near = get_close_matches(name, self._columns, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            known = ", ".join(self._columns) or "none"
            raise self._fault(
                token.at, f"no column {name!r}; {hint}those that filters know: {known}"
            )
        return name, self._columns[name]

    def _literal(self, column: str, kind: Kind) -> Any:
        """A literal of a column's type; whole numbers are not rounded yet."""
        token = self._token
        value: Any = None
        try:
            if kind == "string" and token.kind == "text":
                value = token.text[1:-1].replace("''", "'")
                if "\0" in value or not value.isascii():
                    self._check_text(value, token.at)
            elif kind == "bool" and token.kind == "keyword" and token.text in ("TRUE", "FALSE"):
                value = token.text == "TRUE"
            elif kind == "int64" and token.kind == "number":
                value = literals.whole(token.text)
            elif kind == "float64" and token.kind == "number":
                value = literals.floating(token.text)
        except literals.OutOfRangeError as error:
            raise self._fault(token.at, f"{error}, for column {column!r} is {kind}") from None
        if value is None:
            texts = {"string": "a text as in 'en'", "bool": "TRUE or FALSE"}
            raise self._error(f"{texts.get(kind, 'a number')}, for column {column!r} is {kind}")
        self._next()
        return value

    def _check_text(self, value: str, at: int) -> None:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self._fault(at, "expected a text of Unicode, got a lone surrogate") from None
        if "\0" in value:
            raise self._fault(at, "expected a text without NUL (U+0000), which no store keeps")

    def _error(self, expected: str) -> StorageError:
        got = self._token.text or "the end"
        return self._fault(self._token.at, f"expected {expected}; got {got}")

    def _fault(self, at: int, what: str) -> StorageError:
        return StorageError(f"filter: {what} (at character {at + 1} of {self._text!r})")
