"""Large tensors a chunk at a time, so that no second one of (B, L, V) is ever made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Tensor

_ENTRIES: Final = 2**22
"""Numbers of a chunk: a few megabytes, and enough to keep a processor busy."""
_ENTRIES_CUDA: Final = 2**25
"""Likewise for a graphics card, which waits for the host between smaller ones: half of what a text
of 1,024 tokens of a vocabulary of 50 thousand takes."""


def entries_on(device: torch.device) -> int:
    """Numbers of a chunk that keep a device busy and are still few beside a large vocabulary."""
    return _ENTRIES_CUDA if device.type == "cuda" else _ENTRIES


def chunks(rows: int, width: int, entries: int, multiple: int = 1) -> Iterator[slice]:
    """Split rows of a width into the fewest chunks of equal size, at most ``entries`` numbers.

    Args:
        rows: how many there are.
        width: numbers of a row.
        entries: most numbers of a chunk, unless these are fewer than ``multiple`` rows.
        multiple: of rows in every chunk but the last.
    """
    number = -(-rows // max(1, entries // width))
    size = -(-rows // (number * multiple)) * multiple if number else 1
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def joined(parts: list[Tensor]) -> Tensor:
    """What became of all chunks, of which there is at least one, (N,) in all."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)
