"""Sudoku of any size, made here: solved grids to learn from, and puzzles to solve."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from attrs import Attribute, field, frozen, validators

from aios_core.contracts import Dataset, Row, Segment
from aios_core.errors import DataError
from aios_plugins._sudoku import EMPTY, SYMBOLS, GaveUpError, is_grid, solutions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.contracts import Split

    Grids = NDArray[np.uint8]
    """(N, n * n) numbers of symbols, from 0."""

    Puzzle = tuple[str, str]
    """A solved grid, and the same with a point in each cell that is to be filled."""

NAME: Final = "grid"
"""Of all segments: they are parts of one grid."""

FEW: Final = 4
"""Symbols up to which all grids are listed, 288 where n is 4; a tenth of them is held out."""

MOST_LINES: Final = 1_000_000
"""Of a file of puzzles."""


@frozen
class Sudoku(Dataset):
    """Grids of n x n symbols, each once in every row, column and box; n = box_rows x box_columns.

    A training row is a solved grid: one target of n * n symbols (1 to 9, then A to P), row by row.
    A held-out row is a puzzle: the same text in segments, in turn given and target. No held-out
    grid is trained on.

    Up to n = 4 all grids are listed and each stands once (288 of 4 x 4). Of larger ones some bases
    are searched for with random symbols, one for each 50 grids and at most some hundred, and each
    grid is a base with its digits, bands, stacks, rows, columns and, where boxes are square, its
    diagonal permuted at random: every grid of a base is as likely as any other, not so every base.
    """

    box_rows: int = field(default=2, validator=[validators.ge(1), validators.le(25)])
    """Rows of a box; so many boxes stand side by side."""
    box_columns: int = field(default=2, validator=[validators.ge(2), validators.le(25)])
    """Columns of a box."""
    grids: int = field(default=10_000, validator=[validators.ge(1), validators.le(10**7)])
    """Grids to train on; at most those that there are."""
    held_out: int = field(default=1000, validator=[validators.ge(1), validators.le(10**6)])
    """Puzzles of the validation split; where grids are few, several are of one grid."""
    clues: float = field(default=0.3, validator=[validators.ge(0.0), validators.lt(1.0)])
    """Share of the cells of a puzzle that are given, rounded to cells, which are drawn at random:
    a puzzle may have several solutions."""
    unique: bool = False
    """Puzzles have one solution: cells are taken away, in random order, only as long as that holds,
    so that more than ``clues`` may stay. 9 x 9 takes about 0.02 s a puzzle, once."""
    puzzles: Path | None = None
    """A file of puzzles to hold out instead: one a line, of n * n symbols with ``.`` or ``0`` for
    an empty cell, then a comma and the solution if it is known."""
    seed: int = field(default=0, validator=[validators.ge(0), validators.le(2**32 - 1)])
    """Decides grids and puzzles; apart from that of the run, whose seeds share a data set."""

    @box_columns.validator
    def _size(self, attribute: Attribute[int], value: int) -> None:
        if self.box_rows * value > len(SYMBOLS):
            raise ValueError(
                f"expected at most {len(SYMBOLS)} for box_rows * box_columns, got "
                f"{self.box_rows} * {value}"
            )

    def rows(self, split: Split) -> Iterator[Row]:
        """Solved grids, or puzzles.

        Raises:
            DataError: the file of puzzles is missing, or holds something else.
        """
        train, puzzles = _split(self, self._stamp())
        if split == "train":
            symbols = np.frombuffer(SYMBOLS.encode(), np.uint8)
            for grid in train:
                yield Row((Segment(NAME, symbols[grid].tobytes().decode()),))
        for grid, puzzle in puzzles if split == "validation" else ():
            yield Row(tuple(_segments(grid, puzzle)))

    def _stamp(self) -> tuple[int, ...]:
        """What changes with the file of puzzles."""
        if self.puzzles is None:
            return ()
        try:
            stat = self.puzzles.stat()
        except OSError as error:
            raise DataError(f"{self.puzzles}: cannot be read: {error.strerror}") from error
        return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns

    def columns(self) -> int:
        """A row of the grid is a line."""
        return self.box_rows * self.box_columns

    def files(self) -> tuple[Path, ...]:
        """The file of puzzles; everything else follows from the settings."""
        return () if self.puzzles is None else (self.puzzles,)


def _segments(grid: str, puzzle: str) -> Iterator[Segment]:
    """A grid in turn given and target."""
    cells = zip(grid, puzzle, strict=True)
    for given, run in groupby(cells, lambda cell: cell[1] not in EMPTY):
        yield Segment(NAME, "".join(cell for cell, _ in run), "given" if given else "target")


@lru_cache(maxsize=2)
def _split(data: Sudoku, _stamp: tuple[int, ...]) -> tuple[Grids, tuple[Puzzle, ...]]:
    """Grids to train on, and puzzles of others; the same while the stamp is."""
    drawn = np.random.default_rng([data.seed, 1])
    if data.box_rows * data.box_columns <= FEW:
        every = _all(data.box_rows, data.box_columns)
        every = every[_order(drawn, len(every))]
        count = max(1, len(every) // 10)
        held_out, train = every[:count], every[count : count + data.grids]
        if data.puzzles is None:
            return train, _puzzles(data, held_out[np.arange(data.held_out) % count], drawn)
        own = set(map(_text, held_out))
        kept = tuple(puzzle for puzzle in _read(data) if puzzle[0] in own)
        if not kept:
            raise DataError(
                f"{data.puzzles}: no puzzle is of one of the {count} grids that are held out; "
                "expected more puzzles, or another dataset.seed"
            )
        return train, kept
    if data.puzzles is None:
        puzzles = _puzzles(data, _grids(data, data.held_out, drawn), drawn)
    else:
        puzzles = tuple(_read(data))
    others = _keys(np.array([_numbers(grid) for grid, _ in puzzles], np.uint8))
    train = _grids(data, data.grids, np.random.default_rng([data.seed, 2]))
    return train[~np.isin(_keys(train), others)], puzzles


def _order(drawn: np.random.Generator, *shape: int) -> NDArray[np.intp]:
    """Permutations along the last axis."""
    return drawn.random(shape).argsort(axis=-1)


def _text(grid: Sequence[int] | NDArray[np.uint8]) -> str:
    return "".join(SYMBOLS[number] for number in grid)


def _numbers(text: str) -> list[int]:
    """Numbers of symbols, -1 in empty cells."""
    return [SYMBOLS.find(symbol) for symbol in text]


def _all(rows: int, columns: int) -> Grids:
    """Every grid, for those of few symbols."""
    return np.array(list(solutions([-1] * (rows * columns) ** 2, rows, columns)), np.uint8)


def _grids(data: Sudoku, count: int, drawn: np.random.Generator) -> Grids:
    """Grids of searched bases, permuted at random."""
    rows, columns = data.box_rows, data.box_columns
    n = rows * columns
    most = max(1, 1000 * 81 // n**2)
    bases = np.stack([_base(rows, columns, drawn) for _ in range(min(most, -(-count // 50)))])
    parts = []
    for start in range(0, count, 1 << 14):
        size = min(1 << 14, count - start)
        chosen = bases[(drawn.random(size) * len(bases)).astype(np.intp)].reshape(size, n, n)
        lines = _lines(drawn, size, columns, rows)  # n / rows bands of as many rows as a box has
        across = _lines(drawn, size, rows, columns)
        at = np.arange(size)[:, None, None]
        made = chosen[at, lines[:, :, None], across[:, None, :]]
        if rows == columns:
            made = np.where(drawn.random(size)[:, None, None] < 0.5, made, made.transpose(0, 2, 1))
        digits = _order(drawn, size, n).astype(np.uint8)
        parts.append(np.take_along_axis(digits, made.reshape(size, n * n).astype(np.intp), 1))
    return np.concatenate(parts)


def _lines(drawn: np.random.Generator, count: int, bands: int, inside: int) -> NDArray[np.intp]:
    """(count, n) orders of rows: bands among themselves, and the rows inside each."""
    band = _order(drawn, count, bands)[:, :, None]
    return (band * inside + _order(drawn, count, bands, inside)).reshape(count, bands * inside)


def _base(rows: int, columns: int, drawn: np.random.Generator) -> Grids:
    """A grid that a search finds: its first row, and the order in which it tries symbols, drawn."""
    n = rows * columns
    while True:
        first, order = _order(drawn, 2, n).tolist()
        try:
            return np.array(next(solutions([*first, *[-1] * (n * n - n)], rows, columns, order)))
        except GaveUpError:  # others are found sooner
            continue


def _keys(grids: Grids) -> NDArray[np.uint64]:
    """A number for each grid, so that equal ones have equal numbers."""
    factors = np.random.default_rng(0).integers(0, 2**64, grids.shape[1], np.uint64)
    parts = np.array_split(grids, len(grids) // 4096 + 1)
    return np.concatenate([(part * (factors | 1)).sum(-1, dtype=np.uint64) for part in parts])


def _puzzles(data: Sudoku, grids: Grids, drawn: np.random.Generator) -> tuple[Puzzle, ...]:
    """Each grid with a share of its cells left."""
    cells = grids.shape[1]
    given = min(round(data.clues * cells), cells - 1)
    puzzles = []
    for grid, order in zip(grids.tolist(), _order(drawn, *grids.shape).tolist(), strict=True):
        kept = set(order[:given]) if not data.unique else _needed(data, grid, order, given)
        text = _text(grid)
        shown = "".join(text[cell] if cell in kept else "." for cell in range(cells))
        puzzles.append((text, shown))
    return tuple(puzzles)


def _needed(data: Sudoku, grid: list[int], order: list[int], given: int) -> set[int]:
    """Cells that stay where others are taken away while the solution is the only one."""
    left, puzzle = set(order), list(grid)
    for cell in order:
        if len(left) <= given:
            break
        puzzle[cell] = -1
        if _alone(puzzle, data.box_rows, data.box_columns):
            left.remove(cell)
        else:
            puzzle[cell] = grid[cell]
    if len(left) == len(order):  # of two symbols, say, but none may be taken away
        left.remove(order[0])
    return left


def _alone(puzzle: list[int], rows: int, columns: int) -> bool:
    """Whether a puzzle has one solution, as far as the search sees."""
    grids = solutions(puzzle, rows, columns)
    try:
        next(grids)
        return next(grids, None) is None
    except GaveUpError:
        return False


def _read(data: Sudoku) -> Iterator[Puzzle]:
    """The puzzles of a file, solved.

    Raises:
        DataError: it is missing, holds something else, or a puzzle has no solution.
    """
    path, count = data.puzzles, 0
    assert path is not None
    cells = (data.box_rows * data.box_columns) ** 2
    try:
        with path.open("rb") as file:
            for number in range(1, MOST_LINES + 2):
                line = file.readline(2 * cells + 10)
                if not line:
                    break
                if number > MOST_LINES:
                    raise DataError(f"{path}: expected at most {MOST_LINES} lines, got more")
                text = line.removeprefix(BOM_UTF8).decode("ascii", "replace").strip()
                if not text or (number == 1 and text.lower() in ("puzzle", "puzzle,solution")):
                    continue
                count += 1
                yield _parsed(data, text, f"{path}, line {number}")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not count:
        raise DataError(f"{path}: holds no puzzle")


def _parsed(data: Sudoku, text: str, where: str) -> Puzzle:
    rows, columns = data.box_rows, data.box_columns
    n = rows * columns
    puzzle, comma, solution = text.partition(",")
    puzzle = puzzle.upper()
    if len(puzzle) != n * n or not set(puzzle) <= {*SYMBOLS[:n], *EMPTY}:
        raise DataError(
            f"{where}: expected {n * n} cells of {SYMBOLS[0]} to {SYMBOLS[n - 1]}, with '.' or '0' "
            f"where they are empty, got {puzzle[:40]!r}"
        )
    if not set(puzzle) & set(EMPTY):
        raise DataError(f"{where}: no cell is empty; expected at least one")
    if not comma:
        return _solved(puzzle, rows, columns, where), puzzle
    solution = solution.upper()
    kept = all(b == a or b in EMPTY for a, b in zip(solution, puzzle, strict=False))
    if not is_grid(solution, rows, columns) or not kept:
        raise DataError(f"{where}: {solution[:40]!r} is no solution of the puzzle before it")
    return solution, puzzle


def _solved(puzzle: str, rows: int, columns: int, where: str) -> str:
    try:
        grid = next(solutions(_numbers(puzzle), rows, columns), None)
    except GaveUpError:
        raise DataError(
            f"{where}: no solution was found in time; expected it behind a comma"
        ) from None
    if grid is None:
        raise DataError(f"{where}: the puzzle has no solution")
    return _text(grid)
