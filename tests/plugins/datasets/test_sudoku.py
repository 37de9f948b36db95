"""Grids to learn from, and puzzles of others."""

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from aios_core.config import resolve
from aios_core.contracts import Completion
from aios_core.errors import ConfigError, DataError
from aios_core.testing.contracts.dataset import DatasetContract
from aios_core.training.corpus import Corpus
from aios_plugins._sudoku import SYMBOLS, is_grid, solutions
from aios_plugins.checkers.sudoku import Sudoku as Checker
from aios_plugins.datasets.sudoku import Sudoku

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
PUZZLE, SOLUTION = "1.....2.", "12344321"


class TestSixBySix(DatasetContract):
    component = Sudoku(box_columns=3, grids=50, held_out=20)


def grids(data):
    return [row.segments[0].content for row in data.rows("train")]


def puzzles(data):
    """The solved grids of the validation split, and what of them is given."""
    results = []
    for row in data.rows("validation"):
        shown = "".join(
            part.content if part.role == "given" else "." * len(part.content)
            for part in row.segments
        )
        results.append((row.joined("given", "target"), shown))
    return results


@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 2), (1, 3), (2, 2), (2, 3), (3, 2), (1, 5), (3, 3), (3, 4), (4, 4)]
)
def test_every_row_is_a_grid(rows, columns):
    data = Sudoku(box_rows=rows, box_columns=columns, grids=60, held_out=20)

    assert all(is_grid(grid, rows, columns) for grid in grids(data))
    assert all(is_grid(grid, rows, columns) for grid, _ in puzzles(data))


def test_grids_of_25_symbols():
    data = Sudoku(box_rows=5, box_columns=5, grids=3, held_out=2)

    assert 3 == len(grids(data))
    assert all(is_grid(grid, 5, 5) for grid in grids(data))


def test_a_training_row_is_a_target_and_a_held_out_one_is_in_turn_given_and_target():
    data = Sudoku(held_out=50)

    for row in data.rows("train"):
        (segment,) = row.segments
        assert ("grid", "target") == (segment.name, segment.role)
    for row in data.rows("validation"):
        roles = [segment.role for segment in row.segments]
        assert all(a != b for a, b in pairwise(roles)), "runs are joined"
        assert {"given", "target"} == set(roles)
        assert {"grid"} == {segment.name for segment in row.segments}
        assert Checker().check(Completion(row, row.joined("given", "target"), ""))


def test_all_4_x_4_grids_are_split():
    data = Sudoku()
    train, held_out = set(grids(data)), {grid for grid, _ in puzzles(data)}

    assert 288 == len(train) + len(held_out)
    assert 28 == len(held_out)
    assert not train & held_out
    assert len(train) == len(grids(data)), "each stands once"
    assert 1000 == len(puzzles(data))
    assert 900 < len(set(puzzles(data))), "of one grid the puzzles differ"


def test_other_seeds_hold_out_others():
    first, other = ({grid for grid, _ in puzzles(Sudoku(seed=seed))} for seed in (0, 1))

    assert first != other


def test_fewer_grids_may_be_asked_for():
    assert 10 == len(grids(Sudoku(grids=10)))


def test_no_held_out_grid_of_a_larger_size_is_trained_on():
    """Of 12 grids with three symbols most would be in both; the same rule as for all sizes."""
    data = Sudoku(box_columns=3, grids=30_000, held_out=3000)
    train, held_out = grids(data), {grid for grid, _ in puzzles(data)}

    assert not set(train) & held_out
    assert len(train) < 30_000, "some were drawn for both, or this shows nothing"


@pytest.mark.parametrize("clues", [0.0, 0.1, 0.3, 0.99])
def test_the_share_of_clues_is_that_of_every_puzzle(clues):
    data = Sudoku(box_rows=3, box_columns=3, grids=1, held_out=30, clues=clues)
    given = {81 - shown.count(".") for _, shown in puzzles(data)}

    assert {min(round(81 * clues), 80)} == given


def test_every_cell_is_given_as_often_as_any_other():
    data = Sudoku(held_out=4000, clues=0.25)
    counts = Counter(i for _, shown in puzzles(data) for i, cell in enumerate(shown) if cell != ".")
    spread = 5 * math.sqrt(4000 * 0.25 * 0.75)

    assert set(range(16)) == set(counts)
    assert all(abs(count - 1000) < spread for count in counts.values())


@pytest.mark.parametrize("columns", [2, 3])
def test_a_puzzle_may_have_one_solution(columns):
    data = Sudoku(box_columns=columns, grids=10, held_out=40, clues=0.1, unique=True)

    for _, shown in puzzles(data):
        puzzle = [SYMBOLS.find(cell) for cell in shown]
        assert 1 == len(list(solutions(puzzle, 2, columns)))


def test_grids_of_a_base_are_permuted_in_all_ways():
    """Each digit is in each cell as often as any other."""
    texts = grids(Sudoku(box_columns=3, grids=6000))
    made = np.array([[SYMBOLS.find(cell) for cell in text] for text in texts])
    counts = np.array([(made == digit).sum(0) for digit in range(6)])

    assert abs(counts - len(made) / 6).max() < 5 * math.sqrt(len(made) / 6)


def test_the_corpus_is_not_made_again():
    """What follows from settings alone is known by them."""
    resolved = resolve({"dataset": {"type": "sudoku", "held_out": 30}})
    first = Corpus(resolved).contents

    assert () == resolved.config.dataset.files()
    assert first == Corpus(resolved).contents


def test_boxes_have_a_largest_size():
    with pytest.raises(ConfigError, match="box_rows \\* box_columns"):
        resolve({"dataset": {"type": "sudoku", "box_rows": 6, "box_columns": 5}})


def from_file(tmp_path, content, **settings):
    path = tmp_path / "puzzles.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Sudoku(puzzles=path, **settings)


GRID = "123456456123231564564231312645645312"
SIX = {"box_columns": 3, "grids": 10}


def test_puzzles_of_a_file_are_held_out(tmp_path):
    shown = "." * 20 + GRID[20:]
    content = f"\ufeffPuzzle,Solution\n{shown},{GRID}\n\n{shown.replace('.', '0')}\r\n"

    (grid, first), (_, other) = puzzles(from_file(tmp_path, content, **SIX))

    assert (GRID, shown) == (grid, first)
    assert shown == other


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "holds no puzzle"),
        ("\n\n", "holds no puzzle"),
        ("12\n", "line 1: expected 36 cells of 1 to 6"),
        (f".{GRID[1:]}\n..{GRID[1:]}\n", "line 2: expected 36 cells"),
        ("7" + "." * 35, "line 1: expected 36 cells"),
        ("\u0661" + "." * 35, "line 1: expected 36 cells"),
        (b"\xff\xfe" + b"." * 34, "line 1: expected 36 cells"),
        ("." * 10_000_000, "line 1: expected 36 cells"),
        (GRID, "line 1: no cell is empty"),
        (f".{GRID[1:]},{GRID[1:]}", "line 1: '.*' is no solution of the puzzle"),
        (f".{GRID[1:]},{'1' * 36}", "is no solution of the puzzle"),
        (f"{'.' * 35}1,{GRID}", "is no solution of the puzzle"),
        ("11" + "." * 34, "line 1: the puzzle has no solution"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, content, expected):
    with pytest.raises(DataError, match=expected):
        list(from_file(tmp_path, content, **SIX).rows("validation"))


def test_a_missing_file_is_an_error():
    with pytest.raises(DataError, match="no-such: cannot be read"):
        list(Sudoku(puzzles=Path("no-such")).rows("train"))


def test_a_puzzle_that_no_search_ends_is_refused(tmp_path):
    """Sixteen rows of which one is asked for what no other row leaves."""
    hard = "".join(SYMBOLS[:15] + "." if row == 0 else "." * 16 for row in range(15)) + "." * 15
    data = from_file(tmp_path, hard + "G", box_rows=4, box_columns=4, grids=1)

    with pytest.raises(DataError, match=r"line 1: (no solution was found|the puzzle has no)"):
        list(data.rows("validation"))


def test_of_few_grids_only_puzzles_of_held_out_ones_are_taken(tmp_path):
    every = ["".join(SYMBOLS[i] for i in solution) for solution in solutions([-1] * 16, 2, 2)]
    data = from_file(tmp_path, "".join(f".{grid[1:]},{grid}\n" for grid in every))

    assert 28 == len(puzzles(data))
    assert not {grid for grid, _ in puzzles(data)} & set(grids(data))
    with pytest.raises(DataError, match="no puzzle is of one of the 28 grids that are held out"):
        list(from_file(tmp_path, f".{grids(data)[0][1:]}").rows("validation"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared/data is not there")
def test_files_of_others():
    small = Sudoku(puzzles=SHARED / "sudoku4x4.csv")
    large = Sudoku(box_rows=3, box_columns=3, grids=10, puzzles=SHARED / "sudoku10k.txt")

    assert 59 == len(puzzles(small))
    assert 10_000 == len(puzzles(large))
    assert all(is_grid(grid, 3, 3) for grid, _ in puzzles(large))
