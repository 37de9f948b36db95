"""Arrow's tables as rows and as texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aios_core.contracts.maker import Maker
from aios_core.contracts.reader import FileRow, OnProgress, TextSettings
from aios_core.errors import DataError, StorageError


@contextmanager
def sound(path: Path, kind: str) -> Iterator[None]:
    """Say of a file that Arrow cannot read that it is not of its kind.

    Args:
        path: the file.
        kind: which it should be.

    Raises:
        DataError: Arrow refused it.
        OSError: the system did.
    """
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not {kind}: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise DataError(f"{path}: is not {kind}: {error}") from error  # Arrow's own


def checked(path: Path, schema: pa.Schema) -> pa.Schema:
    """The columns of a file.

    Raises:
        DataError: a name comes twice.
    """
    names = schema.names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}: expected each column once, got {twice[0]!r} twice")
    return schema


def maker_of(path: Path, schema: pa.Schema) -> Maker | None:
    """Who made the vectors of a file, where it says so."""
    try:
        return Maker.read(schema)
    except StorageError as error:
        raise DataError(f"{path}: {error}") from None


def rows_of(
    path: Path, batches: Iterable[pa.RecordBatch], total: int, on_progress: OnProgress
) -> Iterator[FileRow]:
    """Number, values and maker of each row; a vector is an array.

    Args:
        path: the file.
        batches: of its rows.
        total: how many rows it has.
        on_progress: see `OnProgress`.

    Raises:
        DataError: a column holds what Python has not.
    """
    number, total = 0, max(total, 1)
    for batch in batches:
        names, maker = batch.schema.names, maker_of(path, batch.schema)
        columns = [
            _values(path, name, column) for name, column in zip(names, batch.columns, strict=True)
        ]
        for values in zip(*columns, strict=True):
            number += 1
            yield FileRow(number, dict(zip(names, values, strict=True)), maker)
        on_progress(number * 1000 // total - (number - batch.num_rows) * 1000 // total)


def known(path: Path, schema: pa.Schema, settings: TextSettings) -> str:
    """The column of texts.

    Raises:
        DataError: there is none of that name.
    """
    if settings.key not in schema.names:
        raise DataError(
            f"{path}: no column {settings.key!r}; expected one of {', '.join(schema.names)}"
            f"{settings.hint('key', 'names it')}"
        )
    return settings.key


def texts_of(
    path: Path,
    batches: Iterable[pa.RecordBatch],
    total: int,
    settings: TextSettings,
    on_progress: OnProgress,
) -> Iterator[tuple[str, str]]:
    """The texts of a column, each with where it is.

    Args:
        path: the file.
        batches: of that column alone.
        total: how many rows it has.
        settings: which name it.
        on_progress: see `OnProgress`.

    Raises:
        DataError: a value is not text.
    """
    number, total = 0, max(total, 1)
    for batch in batches:
        for text in batch.column(0).to_pylist():
            number += 1
            where = f"{path}: row {number}"
            if not isinstance(text, str):
                got = type(text).__name__
                raise DataError(f"{where}: {settings.key!r} is {got}; expected text")
            yield where, text
        on_progress(number * 1000 // total - (number - batch.num_rows) * 1000 // total)


def _values(path: Path, name: str, column: pa.Array) -> Sequence[Any]:
    try:
        if name == "vector" and (arrays := _vectors(column)) is not None:
            return arrays
        if pa.types.is_timestamp(column.type):
            if column.type.tz is not None:  # or a summer's texts would not sort as its times do
                column = column.cast(pa.timestamp(column.type.unit, tz="UTC"))
            if column.type.unit == "ns":
                return _nanoseconds(column)
        coarse = _coarse(column.type)
        values: list[Any] = (column if coarse == column.type else column.cast(coarse)).to_pylist()
    except (ValueError, OverflowError) as error:  # a date that Python has not
        raise DataError(
            f"{path}: column {name!r}, {column.type}, cannot be read: {error}"
        ) from None
    return values


def _coarse(kind: pa.DataType) -> pa.DataType:
    """A type with microseconds for nanoseconds, which Python has not.

    Arrow itself refuses what that would lose; where pandas is installed, it would give objects of
    pandas instead, and times of the day without their last digits.
    """
    made = kind
    if pa.types.is_time64(kind):
        made = pa.time64("us")
    elif pa.types.is_duration(kind) and kind.unit == "ns":
        made = pa.duration("us")
    elif pa.types.is_timestamp(kind) and kind.unit == "ns":
        made = pa.timestamp("us", tz=kind.tz)
    elif pa.types.is_struct(kind):
        made = pa.struct([field.with_type(_coarse(field.type)) for field in kind.fields])
    elif pa.types.is_map(kind):
        made = pa.map_(_coarse(kind.key_type), _coarse(kind.item_type))
    elif pa.types.is_fixed_size_list(kind):
        made = pa.list_(_coarse(kind.value_type), kind.list_size)
    elif pa.types.is_large_list(kind):
        made = pa.large_list(_coarse(kind.value_type))
    elif pa.types.is_list(kind):
        made = pa.list_(_coarse(kind.value_type))
    return made


def _vectors(column: pa.Array) -> list[Any] | None:
    """The rows of a column of numbers as arrays that borrow from it; None for other columns."""
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
    whole = column.cast(pa.int64())
    counts = whole.to_pylist()
    micros = pa.array([None if count is None else count // 1000 for count in counts], pa.int64())
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
