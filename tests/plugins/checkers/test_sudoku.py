"""What is a solved puzzle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_core.contracts import Completion, Row, Segment
from aios_plugins._sudoku import SYMBOLS, is_grid, solutions, squarest
from aios_plugins.checkers.sudoku import Sudoku

GRID = "1234341221434321"


def row(puzzle, grid=GRID):
    """A row whose given cells are those of a puzzle, one segment a cell."""
    return Row(
        tuple(
            Segment("grid", cell, "given" if cell == shown else "target")
            for cell, shown in zip(grid, puzzle, strict=True)
        )
    )


def solved(text, puzzle="12.............1", **settings):
    return Sudoku(**settings).check(Completion(row(puzzle), text, text))


def test_a_grid_that_keeps_what_was_given_is_right():
    other = GRID.translate(str.maketrans("34", "43"))

    assert solved(GRID)
    assert other != GRID
    assert solved(other), "of several solutions each is right"


@pytest.mark.parametrize(
    "text",
    [
        "",
        GRID[:-1],
        GRID + "1",
        GRID + GRID,
        GRID.replace("4", "5"),
        "1234" * 4,
        "1" * 16,
        GRID[:4] + "\n" + GRID[4:],
        " " + GRID[1:],
    ],
)
def test_anything_else_is_wrong(text):
    assert not solved(text, "." * 16)


def test_a_grid_that_changes_a_given_cell_is_wrong():
    other = GRID.translate(str.maketrans("12", "21"))

    assert solved(other, "." * 16)
    assert not solved(other)


def test_boxes_count():
    """Rows and columns are right here, boxes are not."""
    latin = "1234234134124123"

    assert not solved(latin, "." * 16)
    assert solved(latin, "." * 16, box_rows=1)


def test_absent_segments_have_no_cells():
    segments = (Segment("note", "9999", "absent"), *row("12..............").segments)

    assert Sudoku().check(Completion(Row(segments), GRID, GRID))


@pytest.mark.parametrize(("n", "rows"), [(1, 1), (4, 2), (6, 2), (7, 1), (9, 3), (12, 3), (25, 5)])
def test_boxes_are_as_square_as_they_can_be(n, rows):
    assert rows == squarest(n)


def test_every_4_x_4_grid_is_a_solution_of_the_empty_puzzle():
    grids = {
        "".join(SYMBOLS[number] for number in solution) for solution in solutions([-1] * 16, 2, 2)
    }

    assert 288 == len(grids)
    assert all(is_grid(grid, 2, 2) for grid in grids)


@given(st.text("1234", min_size=16, max_size=16) | st.permutations(GRID).map("".join))
def test_what_is_a_grid_is_known(text):
    """By the definition, written another way."""
    rows = [text[i : i + 4] for i in range(0, 16, 4)]
    columns = ["".join(column) for column in zip(*rows, strict=True)]
    boxes = [text[i : i + 2] + text[i + 4 : i + 6] for i in (0, 2, 8, 10)]
    right = all(sorted(unit) == list("1234") for unit in (*rows, *columns, *boxes))

    assert right == is_grid(text, 2, 2)


def test_a_contradiction_has_no_solution():
    puzzle = [0, 0] + [-1] * 14

    assert [] == list(solutions(puzzle, 2, 2))


def test_symbols_are_tried_in_the_order_that_is_given():
    first = next(solutions([-1] * 16, 2, 2, order=(3, 1, 0, 2)))

    assert 3 == first[0]
