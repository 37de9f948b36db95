"""A filter applied to Arrow data in memory."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from aios_core.filters.tree import And, Compare, Expression, In, IsNull, Like, Not

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def mask(expression: Expression, rows: pa.Table | pa.RecordBatch) -> NDArray[np.bool_]:
    """Which rows a filter chooses: (N,), False where it is unknown."""
    chosen = pc.fill_null(_evaluate(expression, rows), False)
    mask: NDArray[np.bool_] = chosen.to_numpy(zero_copy_only=False)
    return mask


_COMPARE = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


def _evaluate(expression: Expression, rows: Any) -> Any:
    match expression:
        case Compare(name, operation, value):
            return _COMPARE[operation](rows.column(name), value)
        case In(name, values):
            column = rows.column(name)
            return reduce(pc.or_kleene, (pc.equal(column, value) for value in values))
        case Like(name, pattern):
            return pc.match_like(rows.column(name), pattern)
        case IsNull(name):
            return pc.is_null(rows.column(name))
        case Not(part):
            return pc.invert(_evaluate(part, rows))
        case _:
            join = pc.and_kleene if isinstance(expression, And) else pc.or_kleene
            return reduce(join, (_evaluate(part, rows) for part in expression.parts))
