"""Files as rows: JSON lines, Parquet, and plain text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from attrs import frozen

from aios_core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

MAX_LINE: Final = 1 << 24
"""Longest line that is read, in bytes: 16 MiB is no memory but a file of another kind."""


@frozen
class Shape:
    """What rows a file holds, found by reading it once."""

    rows: int
    id_type: Literal["string", "int64"]
    """``string`` or ``int64``; of rows without an id, ``string``: a hash of their content."""
    metadata: dict[str, str]
    """Type by column; where rows differ, string."""
    dim: int | None
    """Of the vectors, where every row has one; None where none has."""


def rows(path: Path, told: Callable[[int], None] = lambda _: None) -> Iterator[dict[str, Any]]:
    """The rows of a file: ``id``, ``text``, ``vector`` where there is one, and metadata.

    ``.jsonl``, ``.ndjson``: an object a line. ``.parquet``: its columns. Anything else is text, and
    every paragraph is a row, with ``source`` and ``line``. A row without an id gets a hash of its
    content, so that the same content is the same row; of equal ones only the first counts.

    Args:
        path: the file.
        told: called with the fraction of the file, in thousandths, that has been read since.

    Raises:
        DataError: it cannot be read, with file and line.
    """
    seen: set[str] = set()
    try:
        for row in _raw(path, told):
            if row.get("id") is None:
                content = json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)
                row["id"] = hashlib.sha256(content.encode()).hexdigest()[:32]
                if row["id"] in seen:
                    continue
                seen.add(row["id"])
            yield row
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _raw(path: Path, told: Callable[[int], None]) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; want JSON lines, Parquet or text")
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            yield from _json_lines(path, told)
        case ".parquet":
            yield from _parquet(path, told)
        case _:
            yield from _paragraphs(path, told)


def _lines(path: Path, told: Callable[[int], None]) -> Iterator[tuple[int, str]]:
    size, read, before = max(path.stat().st_size, 1), 0, 0
    with path.open("rb") as file:
        for number in range(1, 1 << 62):
            line = file.readline(MAX_LINE + 1)
            if not line:
                break
            if len(line) > MAX_LINE:
                raise DataError(f"{path}:{number}: is longer than {MAX_LINE} bytes")
            read += len(line)
            try:
                yield number, line.decode()
            except UnicodeDecodeError as error:
                raise DataError(f"{path}:{number}: is not UTF-8: {error.reason}") from error
            if (now := read * 1000 // size) > before:
                told(now - before)
                before = now


def _json_lines(path: Path, told: Callable[[int], None]) -> Iterator[dict[str, Any]]:
    for number, line in _lines(path, told):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: want an object with text, got {type(row).__name__}")
        yield _checked(row, where)


def _parquet(path: Path, told: Callable[[int], None]) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            total, number = max(file.metadata.num_rows, 1), 0
            for batch in file.iter_batches(1024):
                for row in batch.to_pylist():
                    number += 1
                    yield _checked(row, f"{path}: row {number}")
                told(number * 1000 // total - (number - batch.num_rows) * 1000 // total)
    except pa.ArrowException as error:
        raise DataError(f"{path}: is not Parquet: {error}") from error


def _paragraphs(path: Path, told: Callable[[int], None]) -> Iterator[dict[str, Any]]:
    lines: list[str] = []
    first = 1
    for number, line in _lines(path, told):
        if line.strip():
            first = first if lines else number
            lines.append(line.strip())
        elif lines:
            yield {"text": "\n".join(lines), "source": path.name, "line": first}
            lines = []
    if lines:
        yield {"text": "\n".join(lines), "source": path.name, "line": first}


def _checked(row: dict[str, Any], where: str) -> dict[str, Any]:
    """A row of plain values; what is neither text, number nor truth becomes JSON."""
    text, vector, one = row.get("text"), row.get("vector"), row.get("id")
    if not isinstance(text, str) and (text is not None or vector is None):
        raise DataError(f"{where}: want text under 'text', or a 'vector'; got {sorted(row)}")
    if one is not None and (not isinstance(one, int | str) or isinstance(one, bool)):
        raise DataError(f"{where}: want a text or whole number as 'id', got {one!r}")
    if vector is not None and not (
        isinstance(vector, list) and all(type(x) in (int, float) for x in vector)
    ):
        raise DataError(f"{where}: want numbers under 'vector'")
    plain = {"id", "text", "vector"}
    try:
        checked = {key: value if key in plain else _plain(value) for key, value in row.items()}
        json.dumps(checked, ensure_ascii=False).encode()  # lone surrogates are no text
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{where}: cannot be kept: {error}") from error
    return checked


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)


def shape(path: Path) -> Shape:
    """What a file holds.

    Raises:
        DataError: it cannot be read, holds no rows, or only some rows have a vector.
    """
    count, dims, id_types = 0, set[int | None](), set[str]()
    types: dict[str, set[str]] = {}
    names = {bool: "bool", int: "int64", float: "float64", str: "string"}
    for count, row in enumerate(rows(path), 1):  # noqa: B007
        vector = row.pop("vector", None)
        dims.add(None if vector is None else len(vector))
        id_types.add(names[type(row.pop("id"))])
        row.pop("text", None)
        for key, value in row.items():
            types.setdefault(key, set()).update([names[type(value)]] if value is not None else [])
    if not count:
        raise DataError(f"{path}: holds no rows")
    if len(dims) > 1:
        raise DataError(
            f"{path}: rows have vectors of {sorted(map(str, dims))} numbers; want one dimension in "
            "all rows, or no vectors"
        )
    numbers = {"int64", "float64"}
    metadata = {
        key: found.copy().pop() if len(found) == 1 else "float64" if found == numbers else "string"
        for key, found in types.items()
    }
    return Shape(count, "int64" if id_types == {"int64"} else "string", metadata, dims.pop())


def fitted(row: dict[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """A row whose values are texts where the store keeps texts."""
    return {
        key: value
        if value is None
        or isinstance(value, str)
        or key not in schema.names
        or str(schema.field(key).type) != "string"
        else json.dumps(value, ensure_ascii=False)
        for key, value in row.items()
    }
