"""Parquet files as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aios_core.contracts.maker import Maker
from aios_core.errors import DataError, StorageError

if TYPE_CHECKING:
    import pyarrow as pa


def parquet_schema(path: Path) -> pa.Schema:
    """The columns of a file.

    Raises:
        DataError: it cannot be read, or a name comes twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except pa.ArrowException as error:
        raise DataError(f"{path}: is not Parquet: {error}") from error
    names = schema.names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}: expected each column once, got {twice[0]!r} twice")
    return schema


def parquet_maker(path: Path, schema: pa.Schema) -> Maker | None:
    """Who made the vectors of a file, where it says so."""
    try:
        return Maker.read(schema)
    except StorageError as error:
        raise DataError(f"{path}: {error}") from None


def parquet_rows(
    path: Path, on_progress: Callable[[int], None]
) -> Iterator[tuple[int, dict[str, Any], Maker | None]]:
    """Number, values and maker of each row; a vector is an array.

    Args:
        path: the file.
        on_progress: called with the fraction of the file, in thousandths, that has been read since.

    Raises:
        DataError: it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    maker = parquet_maker(path, parquet_schema(path))
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            total = max(file.metadata.num_rows, 1)
            for batch in file.iter_batches(1024):
                names = batch.schema.names
                columns = [
                    _values(path, name, column)
                    for name, column in zip(names, batch.columns, strict=True)
                ]
                for values in zip(*columns, strict=True):
                    number += 1
                    yield number, dict(zip(names, values, strict=True)), maker
                on_progress(number * 1000 // total - (number - batch.num_rows) * 1000 // total)
    except pa.ArrowException as error:
        raise DataError(f"{path}: is not Parquet: {error}") from error


def _values(path: Path, name: str, column: pa.Array) -> Sequence[Any]:
    import pyarrow as pa

    try:
        if name == "vector" and (arrays := _vectors(column)) is not None:
            return arrays
        if pa.types.is_timestamp(column.type):
            if column.type.tz is not None:  # or a summer's texts would not sort as its times do
                column = column.cast(pa.timestamp(column.type.unit, tz="UTC"))
            if column.type.unit == "ns":
                return _nanoseconds(column)
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError) as error:  # a date that Python has not
        raise DataError(
            f"{path}: column {name!r}, {column.type}, cannot be read: {error}"
        ) from None
    return values


def _vectors(column: pa.Array) -> list[Any] | None:
    """The rows of a column of numbers as arrays that borrow from it; None for other columns."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if not (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        return None
    if not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        return None
    lengths = pc.list_value_length(column).to_pylist()
    flat = column.flatten().to_numpy(zero_copy_only=False)  # without those of rows that are null
    rows: list[Any] = []
    start = 0
    for length in lengths:
        rows.append(None if length is None else flat[start : start + length])
        start += length or 0
    return rows


def _nanoseconds(column: pa.Array) -> list[str | None]:
    """Times in ISO 8601; what Python's datetime cannot hold, behind the microseconds."""
    import pyarrow as pa

    whole = column.cast(pa.int64())
    counts = whole.to_pylist()
    micros = pa.array([None if one is None else one // 1000 for one in counts], pa.int64())
    times = micros.cast(pa.timestamp("us", tz=column.type.tz)).to_pylist()
    texts: list[str | None] = []
    for count, time in zip(counts, times, strict=True):
        if count is None:
            texts.append(None)
        elif rest := count % 1000:
            text = time.isoformat(timespec="microseconds")
            texts.append(f"{text[:26]}{rest:03d}{text[26:]}")
        else:
            texts.append(time.isoformat())
    return texts
