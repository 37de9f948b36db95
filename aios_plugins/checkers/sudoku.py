"""Whether a puzzle was solved: rows, columns and boxes, and the cells that were given."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aios_core.contracts import Checker
from aios_plugins._sudoku import SYMBOLS, is_grid, squarest

if TYPE_CHECKING:
    from aios_core.contracts import Completion, Row


@frozen
class Sudoku(Checker):
    """A grid of n x n symbols, each once in every row, column and box, its given cells kept."""

    box_rows: int | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.ge(1), validators.le(25))),
    )
    """Rows of a box, which has n / box_rows columns; unset: the squarest boxes that are at most as
    high as they are wide, as 2 rows of 3 columns where n is 6."""

    def check(self, completion: Completion) -> bool:
        """Whether all of the sample is a whole grid that keeps what was given."""
        text = completion.text
        n = isqrt(len(text))
        if not 1 <= n <= len(SYMBOLS):
            return False
        rows = squarest(n) if self.box_rows is None else self.box_rows
        return n % rows == 0 and is_grid(text, rows, n // rows) and _kept(completion.row, text)


def _kept(row: Row, text: str) -> bool:
    """Whether a text has what a row gives, where the row gives it."""
    place = 0
    for segment in row.segments:
        content = segment.content
        if segment.role == "absent" or not isinstance(content, str):
            continue
        end = place + len(content)
        if segment.role == "given" and text[place:end] != content:
            return False
        place = end
    return True
