"""What must be true of the rows of every store, whichever backend keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aios_core.contracts.exact import BadValueError, rounded

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from aios_core.contracts.records import Metric

SHORTEST: Final = 1e-15
LONGEST: Final = 1e15
"""Lengths of vectors that a store takes, the shortest where the metric is cosine: squares of these,
and products of two, are far from the ends of float32."""


def ids(given: list[Any]) -> None:
    """Each comes once."""
    if len(set(given)) < len(given):
        seen = dict[Any, int]()
        for row, value in enumerate(given):
            if value in seen:
                raise BadValueError(
                    row, f"expected each id once, got {value!r} in row {seen[value]} as well"
                )
            seen[value] = row


def vectors(given: NDArray[np.float32], metric: Metric) -> None:
    """Finite, and with a direction where the metric needs one."""
    import numpy as np

    rounded(given)
    if metric == "cosine" and not (some := given.any(axis=1)).all():
        raise BadValueError(
            int(np.argmin(some)),
            "its vector is zero, which has no direction, and so no cosine; expected another "
            "vector, or a store whose metric is dot or l2",
        )


def lengths(given: NDArray[np.float32], metric: Metric) -> None:
    """No score of vectors within these bounds leaves float32, in whatever order it is computed."""
    import numpy as np

    low = SHORTEST if metric == "cosine" else 0.0
    squares = np.einsum("ij,ij->i", given, given)
    fits = (squares >= low * low) & (squares <= LONGEST * LONGEST)
    if not fits.all():
        row = int(np.argmin(fits))
        length = np.linalg.norm(given[row].astype(np.float64))
        raise BadValueError(
            row,
            f"its vector has length {length:.3g}, whose scores float32 cannot hold; expected "
            f"{f'{low:g} to' if low else 'at most'} {LONGEST:g}",
        )


def texts(table: pa.Table) -> None:
    """An id names its row. PostgreSQL keeps no NUL, and what one backend takes all must."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if (
        table.schema.field("id").type == pa.string()
        and (row := pc.index(table["id"], "").as_py()) >= 0
    ):
        raise BadValueError(row, "column 'id': expected a text of one character or more, got ''")
    for part, column in zip(table.schema, table.columns, strict=True):
        if part.type == pa.string():
            holds = pc.fill_null(pc.match_substring(column, "\0"), False)
            if pc.any(holds).as_py():
                raise BadValueError(
                    holds.to_pylist().index(True),
                    f"column {part.name!r}: expected a text without NUL (U+0000), got one",
                )


def floats(table: pa.Table) -> None:
    """Databases do not agree on how NaN compares, so nobody keeps it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for part, column in zip(table.schema, table.columns, strict=True):
        if part.type == pa.float64():
            finite = pc.fill_null(pc.is_finite(column), True)
            if not pc.all(finite).as_py() and len(column):
                row = finite.to_pylist().index(False)
                raise BadValueError(
                    row,
                    f"column {part.name!r}: expected a finite number, or none, got "
                    f"{column[row].as_py()}",
                )
