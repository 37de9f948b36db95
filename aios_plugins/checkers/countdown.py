"""Whether an expression of given numbers has the value that was asked for."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from attrs import frozen

from aios_core.contracts import Checker

if TYPE_CHECKING:
    from aios_core.contracts import Completion

MOST_TEXT: Final = 1000
"""Characters of a prompt, and of an answer; what is longer is wrong."""

MOST_DEPTH: Final = 50
"""Brackets inside one another."""

_DIGITS: Final = re.compile(r"[0-9]{1,9}(?![0-9])")
_TOKEN: Final = re.compile(r" *([0-9]{1,9}(?![0-9])|[-+*/()])")


@frozen
class Countdown(Checker):
    """An expression of the given numbers, each used once, with ``+ - * /`` and brackets.

    The last number of the prompt is the value that it must have. Division is exact, so a value
    between may be a fraction; spaces mean nothing. Any right expression is right, not only the one
    of the row.
    """

    def check(self, completion: Completion) -> bool:
        """Whether the answer has the right value."""
        prompt, answer = completion.row.joined("given"), completion.answer
        if max(len(prompt), len(answer)) > MOST_TEXT:
            return False
        *numbers, target = [int(digits) for digits in _DIGITS.findall(prompt)] or [0]
        tokens = _tokens(answer)
        if sorted(int(t) for t in tokens if t.isdigit()) != sorted(numbers) or not numbers:
            return False
        return value(tokens) == target


def value(tokens: list[str]) -> Fraction | None:
    """The value of an expression; None where it is none, or divides by zero.

    Args:
        tokens: whole numbers, ``+ - * /`` and brackets.
    """
    try:
        parser = _Parser(tokens)
        result = parser.sum(0)
    except (_NoExpressionError, ZeroDivisionError):
        return None
    return result if parser.place == len(tokens) else None


def _tokens(text: str) -> list[str]:
    """The tokens of an expression; none where it has others."""
    tokens, place, end = [], 0, len(text.rstrip(" "))
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            return []
        tokens.append(match[1])
        place = match.end()
    return tokens


class _NoExpressionError(Exception):
    pass


class _Parser:
    """By descent; exact, in fractions of numbers that were counted before."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.place = tokens, 0

    def next(self, *expected: str) -> str | None:
        """The next token if it is one of these, which is then passed."""
        if self.place < len(self.tokens) and self.tokens[self.place] in expected:
            self.place += 1
            return self.tokens[self.place - 1]
        return None

    def sum(self, depth: int) -> Fraction:
        result = self.product(depth)
        while sign := self.next("+", "-"):
            other = self.product(depth)
            result = result + other if sign == "+" else result - other
        return result

    def product(self, depth: int) -> Fraction:
        result = self.atom(depth)
        while sign := self.next("*", "/"):
            other = self.atom(depth)
            result = result * other if sign == "*" else result / other
        return result

    def atom(self, depth: int) -> Fraction:
        if self.next("("):
            if depth == MOST_DEPTH:
                raise _NoExpressionError
            result = self.sum(depth + 1)
            if not self.next(")"):
                raise _NoExpressionError
            return result
        if self.place == len(self.tokens) or not self.tokens[self.place].isdigit():
            raise _NoExpressionError
        self.place += 1
        return Fraction(int(self.tokens[self.place - 1]))
