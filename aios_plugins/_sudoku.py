"""Grids of n x n symbols, each once in every row, column and box: what they are, and a solver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from math import isqrt
from typing import Final

SYMBOLS: Final = "123456789ABCDEFGHIJKLMNOP"
"""Of a grid of n rows the first n."""

EMPTY: Final = ".0"
"""What puzzles of others have in cells without a symbol."""

MOST_NODES: Final = 20_000
"""Guesses after which a search gives up."""


def squarest(n: int) -> int:
    """Rows of the squarest boxes of n cells that are at most as high as they are wide."""
    return max(rows for rows in range(1, isqrt(n) + 1) if n % rows == 0)


@cache
def units(rows: int, columns: int) -> tuple[tuple[int, ...], ...]:
    """The 3 n rows, columns and boxes of a grid, as the n numbers of their cells.

    Args:
        rows: of a box.
        columns: of a box; n = rows * columns.
    """
    n = rows * columns
    lines = [[n * i + j for j in range(n)] for i in range(n)]
    across = [[n * i + j for i in range(n)] for j in range(n)]
    boxes = [
        [n * (top + i) + left + j for i in range(rows) for j in range(columns)]
        for top in range(0, n, rows)
        for left in range(0, n, columns)
    ]
    return tuple(map(tuple, (*lines, *across, *boxes)))


@cache
def peers(rows: int, columns: int) -> tuple[tuple[int, ...], ...]:
    """For each cell the others of its units."""
    n = rows * columns
    beside: list[set[int]] = [set() for _ in range(n * n)]
    for unit in units(rows, columns):
        for cell in unit:
            beside[cell].update(unit)
    return tuple(tuple(sorted(own - {cell})) for cell, own in enumerate(beside))


def is_grid(text: str, rows: int, columns: int) -> bool:
    """Whether a text is a solved grid, row by row without anything between."""
    n = rows * columns
    return (
        len(text) == n * n
        and set(text) == set(SYMBOLS[:n])
        and all(len({text[cell] for cell in unit}) == n for unit in units(rows, columns))
    )


class GaveUpError(Exception):
    """A search took more than `MOST_NODES` guesses."""


def solutions(
    puzzle: Sequence[int], rows: int, columns: int, order: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """The solutions of a puzzle, one after the other.

    A cell with one symbol left, and a symbol with one cell left in a unit, are filled in; else
    each symbol of a cell with the fewest is tried, which is a guess.

    Args:
        puzzle: n * n cells; -1 where it is empty, else the number of its symbol, from 0.
        rows: of a box.
        columns: of a box.
        order: in which symbols are tried; None: as they are.

    Raises:
        GaveUpError: there were too many guesses.
    """
    n = rows * columns
    masks = [(1 << n) - 1] * (n * n)
    search = _Search(rows, columns, order or range(n))
    if all(search.put(masks, cell, symbol) for cell, symbol in enumerate(puzzle) if symbol >= 0):
        yield from search.run(masks)


class _Search:
    """Depth first; a state is for each cell the set of its symbols, as bits."""

    def __init__(self, rows: int, columns: int, order: Sequence[int]) -> None:
        self.peers, self.units = peers(rows, columns), units(rows, columns)
        self.bits = [1 << symbol for symbol in order]
        self.nodes = 0

    def put(self, masks: list[int], cell: int, symbol: int) -> bool:
        """Fill a cell and all that follows from it alone; False: that is a contradiction."""
        if not masks[cell] >> symbol & 1:
            return False
        masks[cell] = 1 << symbol
        todo = [cell]
        while todo:
            cell = todo.pop()
            taken = masks[cell]
            for peer in self.peers[cell]:
                if masks[peer] & taken:
                    left = masks[peer] & ~taken
                    if not left:
                        return False
                    masks[peer] = left
                    if not left & (left - 1):
                        todo.append(peer)
        return True

    def hidden(self, masks: list[int]) -> bool:
        """Fill what has one cell left in a unit, until nothing is; False: a contradiction."""
        changed = True
        while changed:
            changed = False
            for unit in self.units:
                once = twice = 0
                for cell in unit:
                    twice |= once & masks[cell]
                    once |= masks[cell]
                if once.bit_count() < len(unit):
                    return False
                once &= ~twice
                for cell in unit if once else ():
                    single = masks[cell] & once
                    if single and masks[cell] != single:
                        if single & (single - 1):
                            return False
                        if not self.put(masks, cell, single.bit_length() - 1):
                            return False
                        changed = True
        return True

    def run(self, masks: list[int]) -> Iterator[list[int]]:
        stack = [masks]
        while stack:
            masks = stack.pop()
            if not self.hidden(masks):
                continue
            counts = [
                (mask.bit_count(), cell) for cell, mask in enumerate(masks) if mask & (mask - 1)
            ]
            if not counts:
                yield [mask.bit_length() - 1 for mask in masks]
                continue
            self.nodes += 1
            if self.nodes > MOST_NODES:
                raise GaveUpError
            cell = min(counts)[1]
            for bit in reversed(self.bits):
                if masks[cell] & bit:
                    after = masks.copy()
                    if self.put(after, cell, bit.bit_length() - 1):
                        stack.append(after)
