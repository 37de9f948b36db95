"""Large tensors a piece at a time, so that no second one of (B, L, V) is ever made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_ENTRIES: Final = 2**22
"""Numbers of a piece: a few megabytes, and enough to keep a processor busy."""


def pieces(rows: int, width: int, entries: int | None = None) -> Iterator[slice]:
    """Slices of so many rows of a width, one after the other; together they are all of them."""
    size = max(1, (entries or _ENTRIES) // width)
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
