"""Regular expressions, in the syntax of Python's ``re`` with its flag ``ASCII``."""

from __future__ import annotations

from typing import Final, NoReturn

from aios_core.errors import InferenceError
from aios_plugins._grammar.pattern import (
    ANY,
    Cat,
    Chars,
    Pattern,
    Ranges,
    Repeat,
    alt,
    complement,
    union,
)

_DIGIT: Final[Ranges] = ((48, 57),)
_WORD: Final[Ranges] = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Final[Ranges] = ((9, 13), (32, 32))
_CLASSES: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CLASSES_ALL: Final = _CLASSES | {
    key.upper(): complement(ranges) for key, ranges in _CLASSES.items()
}
_CONTROLS: Final = {"n": 10, "t": 9, "r": 13, "f": 12, "v": 11, "a": 7, "0": 0}
_HEX_DIGITS: Final = {"x": 2, "u": 4, "U": 8}
_DOT: Final = complement(((10, 10),))
_MOST_DEPTH: Final = 100

ANYTHING: Final = Chars(ANY)
"""Any character."""


def parse(text: str) -> Pattern:
    r"""A regular expression that a text must match as a whole.

    It may use characters, ``.``, sets, groups, ``|``, ``* + ? {m,n}``, and the escapes of ``re``.
    What looks at more than the next character (``\b``, look-around, back-references) is refused;
    ``^`` at the start and ``$`` at the end say what holds anyway.

    Raises:
        InferenceError: it is no regular expression, or uses what is refused.
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.place, self.depth = text, 0, 0

    def parse(self) -> Pattern:
        if self.text.startswith("^"):
            self.place = 1
        pattern = self.alternatives()
        if self.place < len(self.text):
            self.fail("a ) closes nothing")
        return pattern

    def fail(self, reason: str) -> NoReturn:
        raise InferenceError(f"regex {self.text[:80]!r}, position {self.place}: {reason}")

    def peek(self, ahead: str) -> bool:
        return self.text.startswith(ahead, self.place)

    def take(self) -> str:
        if self.place == len(self.text):
            self.fail("it ends too early")
        self.place += 1
        return self.text[self.place - 1]

    def alternatives(self) -> Pattern:
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            self.fail(f"more than {_MOST_DEPTH} groups lie in each other")
        parts = [self.sequence()]
        while self.peek("|"):
            self.place += 1
            parts.append(self.sequence())
        self.depth -= 1
        return alt(parts)

    def sequence(self) -> Pattern:
        parts: list[Pattern] = []
        while self.place < len(self.text) and not self.peek("|") and not self.peek(")"):
            if self.peek("$") and self.place == len(self.text) - 1:
                self.place += 1
                break
            parts.append(self.repeated(self.atom()))
        return Cat(tuple(parts))

    def atom(self) -> Pattern:
        char = self.take()
        if char == "(":
            if self.peek("?:"):
                self.place += 2
            elif self.peek("?"):
                self.fail("of the extensions (?...) only (?:...) is known")
            inner = self.alternatives()
            if not self.peek(")"):
                self.fail("a group is not closed")
            self.place += 1
            return inner
        if char == "[":
            return Chars(self.set())
        if char == ".":
            return Chars(_DOT)
        if char == "\\":
            return Chars(self.escape())
        if char in "*+?":
            self.fail(f"there is nothing to repeat before {char}")
        if char in "^$":
            self.fail(f"{char} can only stand at the {'start' if char == '^' else 'end'}")
        return Chars(((ord(char), ord(char)),))

    def repeated(self, part: Pattern) -> Pattern:
        bounds = self.bounds()
        if bounds is None:
            return part
        if self.peek("?"):  # lazy: the same texts
            self.place += 1
        if any(map(self.peek, "*+?")) or self.bounds() is not None:
            self.fail("multiple repeat")
        return Repeat(part, *bounds)

    def bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self.peek(sign):
                self.place += 1
                return bounds
        end = self.text.find("}", self.place)
        inner = self.text[self.place + 1 : end]
        least, comma, most = inner.partition(",")
        if not self.peek("{") or end < 0 or not (least or comma):
            return None
        if not all(digit in "0123456789" for digit in least + most) or len(inner) > 11:
            return None
        self.place = end + 1
        low = int(least or 0)
        high = (int(most) if most else None) if comma else low
        if high is not None and high < low:
            self.fail(f"{{{inner}}} asks for at least {low} and at most {high}")
        return low, high

    def escape(self) -> Ranges:
        char = self.take()
        if char in _CLASSES_ALL:
            return _CLASSES_ALL[char]
        if char in _HEX_DIGITS:
            digits = self.text[self.place : self.place + _HEX_DIGITS[char]]
            try:
                code = int(digits, 16)
            except ValueError:
                self.fail(f"expected {_HEX_DIGITS[char]} hexadecimal digits after \\{char}")
            if len(digits) < _HEX_DIGITS[char] or not any(a <= code <= b for a, b in ANY):
                self.fail(f"\\{char}{digits} is no character")
            self.place += len(digits)
        elif char in _CONTROLS:
            code = _CONTROLS[char]
        elif char.isascii() and char.isalnum():
            self.fail(f"\\{char} is not supported")
        else:
            code = ord(char)
        return ((code, code),)

    def set(self) -> Ranges:
        negated = self.peek("^")
        self.place += negated
        ranges: Ranges = ()
        first = True
        while first or not self.peek("]"):
            low = self.member()
            if self.peek("-") and not self.peek("-]"):
                self.place += 1
                high = self.member()
                if any(a != b or len(ends) > 1 for ends in (low, high) for a, b in ends):
                    self.fail("a range of a set goes from one character to another")
                if low[0][0] > high[0][0]:
                    self.fail("a range of a set goes up")
                low = ((low[0][0], high[0][0]),)
            ranges, first = union(ranges, low), False
        self.place += 1
        return complement(ranges) if negated else ranges

    def member(self) -> Ranges:
        char = self.take()
        return self.escape() if char == "\\" else ((ord(char), ord(char)),)
