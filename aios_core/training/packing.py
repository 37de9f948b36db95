"""Filling sequences with chunks of rows, so that little of them is padding."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pack(lengths: NDArray[np.int64], capacity: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which sequence each chunk goes to, and where in it, by first fit of falling lengths.

    Equal lengths are handled together, so a million chunks take a fraction of a second.

    Args:
        lengths: (C,) from 1 to the capacity; chunks of one length are taken in their order.
        capacity: positions of a sequence.

    Returns:
        (C,) numbers of the sequences, from 0 on, and (C,) the first position of each chunk.
    """
    order = np.argsort(lengths, kind="stable")
    counts = np.bincount(lengths, minlength=capacity + 1)
    nexts = np.cumsum(counts) - counts
    left = [int(length) for length in np.flatnonzero(counts)]
    numbers, offsets = np.empty_like(order), np.empty_like(order)
    made = 0
    while left:
        pattern, room, below = [], capacity, len(left)
        while below := bisect_right(left, room, 0, below):
            below -= 1
            length = left[below]
            times = min(room // length, int(counts[length]))
            pattern.append((length, times))
            room -= length * times
        repeats = min(int(counts[length]) // times for length, times in pattern)
        start = 0
        for length, times in pattern:
            first = nexts[length]
            taken = order[first : first + repeats * times]
            numbers[taken] = made + np.repeat(np.arange(repeats), times)
            offsets[taken] = start + np.tile(np.arange(times) * length, repeats)
            start += length * times
            nexts[length] += repeats * times
            counts[length] -= repeats * times
            if not counts[length]:
                left.remove(length)
        made += repeats
    return numbers, offsets
