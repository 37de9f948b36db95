"""What a store keeps: which schemas it can have, and rows made to fit one.

Every store has a column ``id`` (int64 or string, unique), a column ``vector`` (a fixed-size list of
float32) and, where texts shall be searched, ``text``. Any other columns are metadata: string,
int64, float64 or bool, each of which may be missing in a row. That is what all backends can keep
and filter by, so a store can move from any to any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from aios_core.contracts import checks
from aios_core.contracts.exact import (
    BadValueError,
    from_arrow,
    from_values,
    shown,
    vectors_from_arrow,
    vectors_from_values,
)
from aios_core.errors import RowError, StorageError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from aios_core.filters import Kind

Metric: TypeAlias = Literal["cosine", "dot", "l2"]
"""How near two vectors are; the similarities are in `VectorStore`."""

Id: TypeAlias = int | str

Rows: TypeAlias = "pa.Table | pa.RecordBatch | Sequence[Mapping[str, Any]]"
"""Arrow data, or dicts."""


def store_schema(
    dim: int,
    metadata: Mapping[str, Any] | None = None,
    *,
    id_type: Literal["string", "int64"] = "string",
    text: bool = True,
) -> pa.Schema:
    """The schema of a store.

    Args:
        dim: D, numbers in a vector.
        metadata: further columns, each with its Arrow type or the type's name.
        id_type: of the ids.
        text: whether there is a column ``text``.

    Raises:
        StorageError: there can be no such store.
    """
    import pyarrow as pa

    if not 1 <= dim <= 65_536:
        raise StorageError(f"vectors of {dim} numbers cannot be kept; expected 1 to 65536")
    fields = [pa.field("id", id_type, nullable=False)]
    fields += [pa.field("text", pa.string())] if text else []
    fields += [pa.field(name, kind) for name, kind in (metadata or {}).items()]
    vector = pa.list_(pa.field("item", pa.float32()), dim)
    return check_schema(pa.schema([*fields, pa.field("vector", vector, nullable=False)]))


def check_schema(schema: pa.Schema) -> pa.Schema:
    """The schema itself, if a store can have it.

    Raises:
        StorageError: it cannot; every column that is wrong is named.
    """
    import pyarrow as pa

    problems = [f"there is no column {name!r}" for name in {"id", "vector"} - {*schema.names}]
    problems += [
        f"two columns are named {n!r}" for n in {*schema.names} if schema.names.count(n) > 1
    ]
    scalars = (pa.string(), pa.int64(), pa.float64(), pa.bool_())
    for column in schema:
        name, kind = column.name, column.type
        if not name or name.startswith("_") or "\0" in name:
            problems.append(
                f"a column cannot be named {name!r}; expected a text without NUL, "
                "and without _ in front"
            )
        elif name == "vector":
            if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
                problems.append(f"column 'vector' is {kind}; expected fixed_size_list<float>[D]")
        elif kind not in (allowed := scalars[:2] if name == "id" else scalars):
            known = ", ".join(map(str, allowed))
            problems.append(f"column {name!r} is {kind}; expected one of: {known}")
        elif name == "text" and kind != pa.string():
            problems.append(f"column 'text' is {kind}; expected string")
    if problems:
        raise StorageError(f"no store can have this schema: {'; '.join(sorted(problems))}")
    return schema


def dimension(schema: pa.Schema) -> int:
    """D, numbers in a vector."""
    return int(schema.field("vector").type.list_size)


def filter_columns(schema: pa.Schema) -> dict[str, Kind]:
    """The columns that a filter may name, and their types."""
    kinds: dict[str, Kind] = {
        "string": "string",
        "int64": "int64",
        "double": "float64",
        "bool": "bool",
    }
    return {column.name: kinds[str(column.type)] for column in schema if column.name != "vector"}


def missing_column(name: str, known: Iterable[str]) -> StorageError:
    """The error for a column that a store has not."""
    known = list(known)
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return StorageError(f"there is no column {name!r}; {hint}the store has: {', '.join(known)}")


def conform(rows: Rows, schema: pa.Schema, metric: Metric) -> pa.Table:
    """Rows as a table with exactly the columns of a store, after a look at each.

    Columns that are not given are missing in every row. What is kept equals what was given,
    whatever the types on both sides: 3.0 is kept as a whole number, 3.99 is refused. The numbers of
    vectors alone are rounded, to the nearest float32.

    Raises:
        RowError: a value is not what the column holds, an id is missing or comes twice, a text
            holds NUL, a number or vector is not finite, a vector is of another dimension, zero
            where the metric is cosine, or so short or long that scores would leave float32.
        StorageError: a column is foreign, or of a type of which the store can keep nothing.
    """
    import pyarrow as pa

    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    given: dict[str, Any]
    if isinstance(rows, pa.Table):
        given, count = dict(zip(rows.column_names, rows.columns, strict=True)), rows.num_rows
        if len(given) < rows.num_columns:
            raise StorageError(f"expected each column once, got {rows.column_names}")
    else:
        rows = list(rows)
        names = dict.fromkeys(name for row in rows for name in row)
        given, count = {name: [row.get(name) for row in rows] for name in names}, len(rows)
    for name in given:
        if name not in schema.names:
            raise missing_column(name, schema.names)
    return fitted(given, count, schema, metric)


def fitted(given: Mapping[str, Any], count: int, schema: pa.Schema, metric: Metric) -> pa.Table:
    """Columns of a store as `conform` makes them, each of which is an Arrow column or a list.

    Args:
        given: by name, all of them in the schema.
        count: how many rows.
        schema: of the store.
        metric: of the store.

    Raises:
        RowError: as `conform`.
        StorageError: as `conform`.
    """
    import pyarrow as pa

    try:
        columns = [_column(given.get(part.name), part, count) for part in schema]
        table = pa.table(columns, schema=schema).combine_chunks()
        check_rows(table, metric)
        checks.texts(table)
        checks.lengths(vectors_of(table), metric)
    except BadValueError as error:
        raise RowError(error.row or 0, _id(given.get("id"), error.row or 0), error.what) from None
    return table


def check_rows(table: pa.Table, metric: Metric) -> None:
    """Look at rows that a store holds: what must be true of them whoever wrote them.

    Raises:
        StorageError: an id comes twice, a vector or number is not finite, a vector is zero where
            the metric is cosine; with ``row``.
    """
    for name in ("id", "vector"):
        if table.column(name).null_count:
            row = table.column(name).is_null().to_pylist().index(True)
            raise BadValueError(row, f"expected {name!r}, which every row needs, got none")
    checks.ids(table.column("id").to_pylist())
    checks.vectors(vectors_of(table), metric)
    checks.floats(table)


def vectors_of(rows: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
    """The vectors of rows, (N, D) float32; borrowed where Arrow has them in one piece."""
    import numpy as np
    import pyarrow as pa

    column = rows.column("vector")
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float32).reshape(len(column), column.type.list_size)


def query_vector(vector: Any, dim: int, metric: Metric) -> NDArray[np.float32]:
    """One query as (1, D) float32: see `query_vectors`."""
    import numpy as np

    if (shape := np.shape(vector)) and len(shape) == 2:
        raise StorageError(
            f"expected one query of {dim} numbers, got an array of shape {shape}; search_batch "
            "takes several"
        )
    return query_vectors([vector], dim, metric)


def query_vectors(vectors: Any, dim: int, metric: Metric) -> NDArray[np.float32]:
    """Several query vectors as (Q, D) float32; for cosine, of length 1 if they were far from it.

    Raises:
        StorageError: they are of another dimension, not finite, zero where the metric is cosine, or
            so long that scores would leave float32.
    """
    import numpy as np

    try:
        if np.size(vectors) == 0 and len(vectors) == 0:
            return np.empty((0, dim), np.float32)
        if np.ndim(vectors) == 1 and not isinstance(vectors[0], str):
            raise StorageError(
                f"expected several queries of {dim} numbers, got an array of shape "
                f"{np.shape(vectors)}; search takes one"
            )
        wide = vectors_from_values(vectors, dim)
        if metric == "cosine":
            return _unit(wide)
        checks.vectors(wide, metric)
        checks.lengths(wide, metric)
    except BadValueError as error:
        raise StorageError(f"query {error.row}: {error.what}") from None
    except (TypeError, ValueError) as error:
        raise StorageError(
            f"expected queries of {dim} numbers, got {shown(vectors)}: {error}"
        ) from error
    return np.ascontiguousarray(wide)


def score(metric: Metric, distance: NDArray[Any], *, squared: bool = False) -> NDArray[Any]:
    """Similarities from distances, higher is nearer: see `VectorStore`.

    Both are (N,), and of the same type, float32 or float64.

    Args:
        metric: what was measured.
        distance: one minus the cosine for ``cosine``, minus the inner product for ``dot``, and the
            Euclidean distance for ``l2``.
        squared: whether the distances for ``l2`` are squares, as most libraries give them. What
            rounding left below 0 counts as 0.
    """
    import numpy as np

    if metric == "cosine":
        return 1 - distance
    if metric == "dot":
        return 0 - distance  # and never -0.0
    if squared:
        distance = np.sqrt(np.maximum(distance, 0))
    return 1 / (1 + distance)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Queries whose length is far from 1 scaled to it: a cosine does not depend on it."""
    import numpy as np

    checks.vectors(vectors, "cosine")
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    far = (lengths < checks.SHORTEST) | (lengths > checks.LONGEST)
    return np.ascontiguousarray(np.where(far, wide / lengths, wide), np.float32)


def _id(given: Any, row: int) -> Any:
    """The id of a row, to name it; None where it has none."""
    value: Any = None if given is None else given[row]
    return value.as_py() if hasattr(value, "as_py") else value


def _column(given: Any, part: pa.Field, count: int) -> Any:
    """A column of the type that the store has, null where it is not given."""
    import pyarrow as pa

    needed = not part.nullable or part.name in ("id", "vector")
    if given is None:
        if needed and count:
            raise StorageError(
                f"expected a column {part.name!r}, which every row needs, got rows without one"
            )
        return pa.nulls(count, part.type) if not needed else pa.array([], part.type)
    arrow = isinstance(given, pa.ChunkedArray)
    if needed:
        empty = given.is_null().to_pylist() if arrow else [value is None for value in given]
        if True in empty:
            raise BadValueError(
                empty.index(True), f"expected {part.name!r}, which every row needs, got none"
            )
    if part.name == "vector":
        if arrow and given.type == part.type:
            return given
        dim = part.type.list_size
        make = vectors_from_arrow if arrow else vectors_from_values
        flat = pa.array(make(given, dim).ravel())
        return pa.FixedSizeListArray.from_arrays(flat, type=part.type)
    try:
        return (from_arrow if arrow else from_values)(given, part.type)
    except BadValueError as error:
        raise BadValueError(error.row or 0, f"column {part.name!r}: {error.what}") from None
    except StorageError as error:
        raise StorageError(f"column {part.name!r}: {error}") from None
