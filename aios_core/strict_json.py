"""JSON of others: each key once in an object, and no byte order mark in the text."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final


class RepeatedKeyError(ValueError):
    """A key stands twice in an object, so that one of its values would be lost."""


def loads(data: str | bytes, *, finite: bool = False) -> Any:
    """What a text in JSON says.

    Args:
        data: the text, or its bytes in UTF-8, UTF-16 or UTF-32; a byte order mark at the beginning
            is passed over, as some editors write one.
        finite: refuse ``NaN`` and ``Infinity``, which many write and JSON does not have.

    Raises:
        RepeatedKeyError: a key stands twice in one object.
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.

    Examples:
        >>> loads(b'{"a": 1}')
        {'a': 1}
        >>> loads('{"a": 1, "a": 2}')
        Traceback (most recent call last):
        aios_core.strict_json.RepeatedKeyError: expected each key once in an object, got 'a' twice
    """
    if isinstance(data, bytes):
        data = data.decode(json.detect_encoding(data), "surrogatepass")
    decoder = _FINITE if finite else _DECODER
    return decoder.decode(data.removeprefix("\ufeff"))


def values(text: str) -> Iterator[Any]:
    """The values of an array, one after the other, so that a fault is that of the next one.

    Args:
        text: in JSON.

    Raises:
        RepeatedKeyError: a key stands twice in one object.
        ValueError: it is not JSON, or no array.
        RecursionError: a value is nested too deeply.
    """
    place = _symbol(text, _space(text, 0), "[")
    place = _space(text, place)
    if text[place : place + 1] == "]":
        place += 1
    else:
        while True:
            value, place = _DECODER.raw_decode(text, place)
            yield value
            place = _space(text, place)
            if text[place : place + 1] != ",":
                place = _symbol(text, place, "]")
                break
            place = _space(text, place + 1)
    if (end := _space(text, place)) != len(text):
        raise json.JSONDecodeError("Extra data", text, end)


def _space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    assert match is not None
    return match.end()


def _symbol(text: str, place: int, symbol: str) -> int:
    """The place behind a symbol, which must stand here."""
    if text[place : place + 1] != symbol:
        raise json.JSONDecodeError(f"Expecting {symbol!r}", text, place)
    return place + 1


_SPACE: Final = re.compile(r"[ \t\n\r]*")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of its keys and values."""
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    counts = Counter(key for key, _ in pairs)
    twice = next(key for key, count in counts.items() if count > 1)
    raise RepeatedKeyError(f"expected each key once in an object, got {twice[:60]!r} twice")


def _refused(name: str) -> None:
    raise ValueError(f"expected a number, got {name}")


_FINITE: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refused)
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once)
