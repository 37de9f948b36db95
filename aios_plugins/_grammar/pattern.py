"""Patterns of text: what a regular expression or a schema is made of before it is a machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

Ranges = tuple[tuple[int, int], ...]
"""Sorted, disjoint ranges of code points, both ends included."""

ANY: Final[Ranges] = ((0, 0xD7FF), (0xE000, 0x10FFFF))
"""Every character that UTF-8 can say."""


@frozen
class Chars:
    """One character of a set."""

    ranges: Ranges


@frozen
class Cat:
    """Patterns one after the other; of none: the empty text."""

    parts: tuple[Pattern, ...]


@frozen
class Alt:
    """One of several patterns; of none: no text at all."""

    parts: tuple[Pattern, ...]


@frozen
class Repeat:
    """A pattern several times."""

    part: Pattern
    least: int
    most: int | None
    """None: any number."""


Pattern = Chars | Cat | Alt | Repeat

EMPTY: Final = Cat(())


def union(*sets: Ranges) -> Ranges:
    """Characters in any of the sets."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(span for ranges in sets for span in ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    """Characters that are not in the set."""
    left, start = [], 0
    for low, high in (*ranges, (0x110000, 0x110000)):
        if start < low:
            left.append((start, low - 1))
        start = high + 1
    return intersection(tuple(left), ANY)


def intersection(first: Ranges, other: Ranges) -> Ranges:
    """Characters in both sets."""
    pairs = ((max(a, c), min(b, d)) for a, b in first for c, d in other)
    return tuple(sorted(pair for pair in pairs if pair[0] <= pair[1]))


def literal(text: str) -> Pattern:
    """Exactly this text."""
    return Cat(tuple(Chars(((ord(char), ord(char)),)) for char in text))


def cat(*parts: Pattern) -> Pattern:
    """Patterns one after the other."""
    return Cat(parts)


def alt(parts: Sequence[Pattern]) -> Pattern:
    """One of several patterns."""
    return parts[0] if len(parts) == 1 else Alt(tuple(parts))


def restrict(pattern: Pattern, allowed: Ranges) -> Pattern:
    """What of a pattern is made of allowed characters alone."""
    match pattern:
        case Chars(ranges):
            return Chars(intersection(ranges, allowed))
        case Repeat(part, least, most):
            return Repeat(restrict(part, allowed), least, most)
        case _:
            return type(pattern)(tuple(restrict(part, allowed) for part in pattern.parts))


_SIZES: Final = (
    (0, 0x7F),
    (0x80, 0x7FF),
    (0x800, 0xD7FF),
    (0xE000, 0xFFFF),  # what lies between are surrogates, which UTF-8 has no bytes for
    (0x10000, 0x10FFFF),
)
"""Code points whose encodings are of one length, from one to four bytes."""


def encodings(ranges: Ranges) -> list[tuple[tuple[int, int], ...]]:
    """UTF-8 of a set of characters: sequences of ranges of bytes, each of which any byte may be.

    A range of code points is cut where the length of its encoding changes, and then so that all
    bytes but the first ones run through whole ranges.
    """
    sequences: list[tuple[tuple[int, int], ...]] = []
    for start, end in _SIZES:
        for low, high in intersection(ranges, ((start, end),)):
            sequences += _split(low, high)
    return sequences


def _split(low: int, high: int) -> list[tuple[tuple[int, int], ...]]:
    size = len(chr(low).encode())
    for shift in range(6, 6 * size, 6):
        tail = (1 << shift) - 1
        if low >> shift != high >> shift:
            if low & tail:
                return _split(low, low | tail) + _split((low | tail) + 1, high)
            if high & tail != tail:
                return _split(low, (high & ~tail) - 1) + _split(high & ~tail, high)
    return [tuple(zip(chr(low).encode(), chr(high).encode(), strict=True))]


def choice(texts: Sequence[str]) -> Pattern:
    """One of several texts."""
    return alt([literal(text) for text in texts])
