"""Columns made from values without changing a value: what does not fit is refused.

Arrow converts what it is given from Python in its own way: 3.99 becomes 3, True becomes 1.0, bytes
become text. A store keeps what it was given, so here a value is taken only if what is kept equals
it. The one exception is the numbers of vectors, which are rounded to float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from aios_core.errors import StorageError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

EXPECTED: Final = {
    "string": "a text",
    "int64": "a whole number from -2^63 to 2^63 - 1",
    "double": "a number that float64 holds exactly",
    "bool": "true or false",
}
"""What a column takes, by the name of its Arrow type."""

_PLAIN: Final = {"string": str, "int64": int, "double": float, "bool": bool}


class BadValueError(StorageError):
    """A value cannot be kept as it is.

    Args:
        row: index of the value.
        what: what is wrong with it.
    """

    def __init__(self, row: int, what: str) -> None:
        super().__init__(f"row {row}: {what}")
        self.row, self.what = row, what


def from_values(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Python values as an Arrow array; None is a missing value.

    A number may be of any type of Python or numpy, as long as the column holds exactly this number;
    a truth value is no number.

    Args:
        values: one a row.
        kind: string, int64, float64 or bool.

    Raises:
        BadValueError: at the first value that would not be read back equal.
    """
    import pyarrow as pa

    name = str(kind)
    if {*map(type, values)} <= {_PLAIN[name], type(None)}:
        try:
            return pa.array(values, kind)
        except (OverflowError, UnicodeEncodeError, pa.ArrowException):
            pass  # some value is out of range: which, is found one by one
    kept = []
    for row, value in enumerate(values):
        exact = None if value is None else _exact(value, name)
        if value is not None and exact is None:
            raise BadValueError(row, f"expected {EXPECTED[name]}, got {shown(value)}")
        kept.append(exact)
    return pa.array(kept, kind)


def _exact(value: Any, name: str) -> Any:
    """An equal value of the type that is kept; None where there is none."""
    import numpy as np
    import pyarrow as pa

    if isinstance(value, pa.Scalar):
        value = value.as_py()
    if isinstance(value, np.bool_):
        value = bool(value)
    elif isinstance(value, np.integer):
        value = int(value)  # numpy compares whole numbers with floats as floats
    if isinstance(value, bool) or name == "bool":
        return value if isinstance(value, bool) and name == "bool" else None
    if isinstance(value, str):
        return str(value) if name == "string" and _encodes(value) else None
    if name == "string" or not isinstance(value, int | float | Decimal | Fraction | np.floating):
        return None
    try:
        number: Any = int(value) if name == "int64" else float(value)
    except (OverflowError, ValueError):  # infinities and NaN are no whole numbers
        return None
    if isinstance(number, float) and math.isnan(number):  # refused where floats are looked at
        return number
    return number if number == value and (name != "int64" or -(2**63) <= number < 2**63) else None


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def from_arrow(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """An Arrow column as one of another type.

    Args:
        column: of numbers, texts (also as a dictionary) or truth values.
        kind: string, int64, float64 or bool.

    Raises:
        BadValueError: at the first value that would not be read back equal.
        StorageError: no value of the column's type can be kept.
    """
    import pyarrow as pa

    if column.type == kind:
        return column
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    actual = column.type
    texts = pa.types.is_string(actual) or pa.types.is_large_string(actual)
    if pa.types.is_null(actual) or actual == kind:
        return column.cast(kind)
    if kind == pa.string() and (texts or pa.types.is_string_view(actual)):
        return column.cast(kind)
    numbers = pa.types.is_integer(actual) or pa.types.is_floating(actual)
    if kind in (pa.int64(), pa.float64()) and numbers:
        return _numbers(column, kind)
    if kind in (pa.int64(), pa.float64()) and pa.types.is_decimal(actual):
        return pa.chunked_array([from_values(column.to_pylist(), kind)], kind)
    raise StorageError(f"expected {EXPECTED[str(kind)]}, got values of type {actual}")


def _numbers(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    import numpy as np
    import pyarrow as pa

    missing = column.is_null().to_numpy()
    given = column.fill_null(0).to_numpy()
    kept: NDArray[Any]
    if given.dtype.kind == "f":
        kept, same = given.astype(np.float64), np.ones(len(given), np.bool_)
        if kind == pa.int64():
            same = (kept == np.floor(kept)) & (kept >= -(2.0**63)) & (kept < 2.0**63)
            kept = np.where(same, kept, 0).astype(np.int64)
    elif kind == pa.int64():
        kept = given.astype(np.int64)
        same = (kept >= 0) == (given >= 0)  # the upper half of uint64 becomes negative
    else:
        kept = given.astype(np.float64)
        end = 2.0 ** (8 * given.itemsize - (given.dtype.kind == "i"))
        same = np.where(kept < end, kept, 0).astype(given.dtype) == given
    if not same.all():
        row = int(np.argmin(same))
        what = f"expected {EXPECTED[str(kind)]}, got {shown(column[row].as_py())}"
        raise BadValueError(row, what)
    return pa.chunked_array([pa.array(kept, kind, mask=missing)], kind)


def shown(value: Any) -> str:
    """A value as a message shows it: not longer than a line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def vectors_from_values(values: Sequence[Any], dim: int) -> NDArray[np.float32]:
    """Vectors as (N, D) float32, each number rounded to the nearest float32.

    Args:
        values: a list or an array of numbers for each row.
        dim: D.

    Raises:
        BadValueError: at the first row that is no vector of D finite numbers.
    """
    import numpy as np

    kinds = set[type]()
    for value in values:
        if isinstance(value, list | tuple):
            kinds.update(map(type, value))
        elif isinstance(value, np.ndarray):
            kinds.add(value.dtype.type)
    numbers = float | int | np.integer | np.floating
    plain = all(issubclass(kind, numbers) and kind is not bool for kind in kinds)
    try:
        # A type that is known is not looked for in every number.
        array = np.asarray(values, np.float64 if kinds == {float} else None) if plain else None
    except (ValueError, TypeError, OverflowError):
        array = None
    if array is None or array.dtype.kind not in "iuf" or array.shape != (len(values), dim):
        array = np.stack([_vector(value, row, dim) for row, value in enumerate(values)])
    return rounded(array)


def _vector(value: Any, row: int, dim: int) -> NDArray[Any]:
    import numpy as np

    if value is None:
        raise BadValueError(row, f"expected a vector of {dim} numbers, got none")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        raise BadValueError(row, f"expected {dim} numbers, got {shown(value)}") from None
    if array.shape != (dim,):
        raise BadValueError(row, f"expected {dim} numbers, got a vector of shape {array.shape}")
    some = value if isinstance(value, list | tuple) else []
    wrong = next((x for x in some if isinstance(x, bool | np.bool_ | str | bytes)), None)
    if array.dtype.kind not in "iuf" or wrong is not None:
        wrong = shown(value if wrong is None else wrong)
        raise BadValueError(row, f"expected {dim} numbers in the vector, got {wrong}")
    return array


def vectors_from_arrow(column: pa.ChunkedArray, dim: int) -> NDArray[np.float32]:
    """A column of lists as (N, D) float32.

    Raises:
        BadValueError: at the first row that is no vector of D finite numbers.
        StorageError: they are no lists of numbers.
    """
    import numpy as np
    import pyarrow as pa

    kind = column.type
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    listed = listed or pa.types.is_fixed_size_list(kind)
    if not listed or not (
        pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)
    ):
        raise StorageError(f"expected vectors of {dim} numbers, got values of type {kind}")
    parts = []
    start = 0
    for chunk in column.chunks:
        if pa.types.is_fixed_size_list(kind):
            lengths = np.full(len(chunk), kind.list_size)
        else:
            lengths = chunk.value_lengths().to_numpy(zero_copy_only=False)
        flat = chunk.flatten()
        if (wrong := lengths != dim).any():
            row = int(np.argmax(wrong))
            got = int(lengths[row])
            raise BadValueError(start + row, f"expected {dim} numbers in the vector, got {got}")
        if flat.null_count:
            row = flat.is_null().to_pylist().index(True) // dim
            raise BadValueError(start + row, f"expected {dim} numbers, got a missing one")
        parts.append(flat.to_numpy(zero_copy_only=False).reshape(-1, dim))
        start += len(chunk)
    whole = parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, dim), "f4"), *parts])
    return rounded(whole)


def rounded(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Numbers as the nearest float32.

    Raises:
        BadValueError: at the first row with a number that no float32 is near to.
    """
    import numpy as np

    with np.errstate(over="ignore"):
        narrow: NDArray[np.float32] = vectors.astype(np.float32, copy=False)
    finite = np.isfinite(narrow)
    if not finite.all():
        row = int(np.argmin(finite.all(axis=1)))
        value = vectors[row][~finite[row]][0]
        raise BadValueError(
            row, f"its vector holds {value}; expected finite numbers, up to 3.4e38 in size"
        )
    return narrow
