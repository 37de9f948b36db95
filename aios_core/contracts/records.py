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

from aios_core.errors import StorageError

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
        raise StorageError(f"vectors of {dim} numbers cannot be kept; want 1 to 65536")
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
            problems.append(f"a column cannot be named {name!r}; want a name without _ in front")
        elif name == "vector":
            if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
                problems.append(f"column 'vector' is {kind}; want fixed_size_list<float>[D]")
        elif kind not in (allowed := scalars[:2] if name == "id" else scalars):
            want = ", ".join(map(str, allowed))
            problems.append(f"column {name!r} is {kind}; want one of: {want}")
        elif name == "text" and kind != pa.string():
            problems.append(f"column 'text' is {kind}; want string")
    if problems:
        raise StorageError(f"no store can have this schema: {'; '.join(sorted(problems))}")
    return schema


def dimension(schema: pa.Schema) -> int:
    """D, numbers in a vector."""
    return int(schema.field("vector").type.list_size)


def filter_columns(schema: pa.Schema) -> dict[str, Kind]:
    """The columns that a filter may name, and what they can be compared with."""
    kinds: dict[str, Kind] = {
        "string": "text",
        "int64": "number",
        "double": "number",
        "bool": "boolean",
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

    Columns that are not given are missing in every row; numbers and texts of narrower types are
    widened.

    Raises:
        StorageError: a column is foreign or of another type, an id is missing or comes twice, a
            vector is missing, of another dimension, not finite, or zero where the metric is cosine.
    """
    import pyarrow as pa

    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    elif not isinstance(rows, pa.Table):
        rows = _from_dicts(rows, schema)
    for name in rows.column_names:
        if name not in schema.names:
            raise missing_column(name, schema.names)
    columns = [_column(rows, field) for field in schema]
    table = pa.table(columns, schema=schema).combine_chunks()
    _check_ids(table.column("id").to_pylist())
    _check_vectors(vectors_of(table), metric)
    _check_floats(table)
    return table


def vectors_of(rows: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
    """The vectors of rows, (N, D) float32; borrowed where Arrow has them in one piece."""
    import numpy as np
    import pyarrow as pa

    column = rows.column("vector")
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float32).reshape(len(column), column.type.list_size)


def query_vectors(vectors: Any, dim: int, metric: Metric) -> NDArray[np.float32]:
    """One or several query vectors as (Q, D) float32.

    Raises:
        StorageError: they are of another dimension, not finite, or zero where the metric is cosine.
    """
    import numpy as np

    try:
        array = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise StorageError(f"the query is no array of numbers: {error}") from error
    if array.ndim != 2 or array.shape[1] != dim:
        raise StorageError(f"the query has shape {array.shape}; want vectors of {dim} numbers")
    _check_vectors(array, metric, "query")
    return np.ascontiguousarray(array)


def _from_dicts(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    if not rows:
        return schema.empty_table()
    dim, given = dimension(schema), dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, Any] = {}
    for name in given:
        if name not in schema.names:
            raise missing_column(name, schema.names)
        values = [row.get(name) for row in rows]
        if name == "vector":
            for number, value in enumerate(values):
                if value is None or np.shape(value) != (dim,):
                    got = "no vector" if value is None else f"a vector of shape {np.shape(value)}"
                    raise StorageError(f"row {number} has {got}; want {dim} numbers")
            flat = pa.array(np.asarray(values, dtype=np.float32).ravel())
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, dim)
            continue
        try:
            columns[name] = pa.array(values, schema.field(name).type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise StorageError(f"column {name!r}: {error}") from error
    return pa.table(columns)


def _column(rows: pa.Table, field: pa.Field) -> Any:
    """A column of the type that the store has, null where it is not given."""
    import pyarrow as pa

    if field.name not in rows.column_names:
        if not field.nullable or field.name in ("id", "vector"):
            raise StorageError(f"the rows have no column {field.name!r}, which every row needs")
        return pa.nulls(rows.num_rows, field.type)
    column = rows.column(field.name)
    nulls = column.null_count and (not field.nullable or field.name in ("id", "vector"))
    if nulls:
        row = column.is_null().to_pylist().index(True)
        raise StorageError(f"row {row} has no {field.name!r}, which every row needs")
    if column.type == field.type:
        return column
    widened = (pa.types.is_integer, pa.types.is_floating, pa.types.is_string)
    kinds = [kind for kind in (*widened, pa.types.is_large_string) if kind(column.type)]
    lists = field.name == "vector" and _is_list(column.type)
    if not (lists or (kinds and _widens(column.type, field.type)) or pa.types.is_null(column.type)):
        raise StorageError(f"column {field.name!r} is {column.type}; the store has {field.type}")
    try:
        return column.cast(field.type)
    except pa.ArrowInvalid as error:
        want = f"vectors of {field.type.list_size} numbers" if lists else str(field.type)
        raise StorageError(f"column {field.name!r}: want {want}: {error}") from error


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    listed = listed or pa.types.is_fixed_size_list(kind)
    return bool(listed and pa.types.is_floating(kind.value_type))


def _widens(found: pa.DataType, wanted: pa.DataType) -> bool:
    import pyarrow as pa

    text = pa.types.is_string(found) or pa.types.is_large_string(found)
    if wanted == pa.string():
        return bool(text)
    if wanted == pa.int64():
        return bool(pa.types.is_integer(found))
    return bool(wanted == pa.float64() and not text)


def _check_ids(ids: list[Id]) -> None:
    if len(set(ids)) < len(ids):
        seen: dict[Id, int] = {}
        for row, one in enumerate(ids):
            if one in seen:
                raise StorageError(
                    f"id {one!r} comes twice, in rows {seen[one]} and {row}; want each id once"
                )
            seen[one] = row


def _check_vectors(vectors: NDArray[np.float32], metric: Metric, what: str = "row") -> None:
    import numpy as np

    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        value = vectors[row][~np.isfinite(vectors[row])][0]
        raise StorageError(f"the vector of {what} {row} holds {value}; every number must be finite")
    if metric == "cosine":
        some = vectors.any(axis=1)
        if not some.all():
            raise StorageError(
                f"the vector of {what} {int(np.argmin(some))} is zero, which has no direction, "
                "and so no cosine; want another vector, or a store whose metric is dot or l2"
            )


def _check_floats(table: pa.Table) -> None:
    """Databases do not agree on how NaN compares, so nobody keeps it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for field, column in zip(table.schema, table.columns, strict=True):
        if field.type == pa.float64():
            finite = pc.fill_null(pc.is_finite(column), True)
            if not pc.all(finite).as_py() and len(column):
                row = finite.to_pylist().index(False)
                raise StorageError(
                    f"row {row} has {column[row].as_py()} in column {field.name!r}; want a finite "
                    "number, or none"
                )
