"""Files as rows: JSON lines, Parquet, and plain text."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from aios_core.contracts.maker import Maker
from aios_core.errors import DataError
from aios_core.memory.arrow_rows import parquet_rows

if TYPE_CHECKING:
    import numpy as np

MAX_LINE: Final = 1 << 24
"""Longest line that is read, in bytes: 16 MiB is no memory but a file of another kind."""

MADE_BY: Final = "_embedding"
"""Of a line of JSON: who made its vector, as `Maker.plain` says it. No column has such a name."""

Nan: TypeAlias = Literal["refuse", "missing"]
"""What NaN in a column other than the vector is: an error, or pandas' way to say that there is no
value."""


class Row(NamedTuple):
    """A row of a file."""

    number: int
    """Of its line, or of the row of a Parquet file, from 1 on."""
    values: dict[str, Any]
    """``id``, ``text`` and ``vector`` where they are given, and metadata: texts, numbers, truth
    values, None. The vector is a list or an array."""
    maker: Maker | None
    """Who made the vector, where the file says so."""


def where(path: Path, number: int) -> str:
    """A row of a file in a message."""
    return f"{path}: row {number}" if _is_parquet(path) else f"{path}:{number}"


def rows(
    path: Path, on_progress: Callable[[int], None] = lambda _: None, *, nan: Nan = "refuse"
) -> Iterator[Row]:
    """The rows of a file.

    ``.jsonl``, ``.ndjson``: an object a line. ``.parquet``: its columns. Anything else is text, and
    every paragraph is a row, with ``source`` and ``line``. A row without an id gets a hash of its
    content, so that the same content is the same row; of equal ones only the first counts.

    Args:
        path: the file.
        on_progress: called with the fraction of the file, in thousandths, that has been read since.
        nan: what NaN is.

    Raises:
        DataError: it cannot be read, with file and line.
    """
    seen: set[str] = set()
    try:
        for number, row, maker in _raw(path, on_progress):
            try:
                checked = _checked(row, nan)
            except DataError as error:
                raise DataError(f"{where(path, number)}: {error}") from error.__cause__
            if checked.get("id") is None:
                checked["id"] = _digest(checked)
                if checked["id"] in seen:
                    continue
                seen.add(checked["id"])
            yield Row(number, checked, None if checked.get("vector") is None else maker)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


_Raw: TypeAlias = Iterator[tuple[int, dict[str, Any], Maker | None]]


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _raw(path: Path, on_progress: Callable[[int], None]) -> _Raw:
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected JSON lines, Parquet or text")
    if _is_parquet(path):
        return parquet_rows(path, on_progress)
    if (suffix := path.suffix.lower()) in (".csv", ".tsv"):
        raise DataError(
            f"{path}: expected JSON lines, Parquet or text, got a table in {suffix}; "
            "pyarrow.csv and pyarrow.parquet make Parquet of it"
        )
    json_lines = suffix in (".jsonl", ".ndjson")
    return (_json_lines if json_lines else _paragraphs)(path, on_progress)


def _lines(path: Path, on_progress: Callable[[int], None]) -> Iterator[tuple[int, str]]:
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
                on_progress(now - before)
                before = now


def _json_lines(path: Path, on_progress: Callable[[int], None]) -> _Raw:
    for number, line in _lines(path, on_progress):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: is not JSON: {error}") from error
        if not isinstance(row, dict):
            got = type(row).__name__
            raise DataError(f"{path}:{number}: expected an object with text, got {got}")
        maker = None
        if MADE_BY in row:
            try:
                maker = Maker.parse(row.pop(MADE_BY))
            except ValueError as error:
                raise DataError(f"{path}:{number}: {MADE_BY!r}: {error}") from None
        yield number, row, maker


def _paragraphs(path: Path, on_progress: Callable[[int], None]) -> _Raw:
    lines: list[str] = []
    first = 1
    for number, line in _lines(path, on_progress):
        if line.strip():
            first = first if lines else number
            lines.append(line.strip())
        elif lines:
            yield first, {"text": "\n".join(lines), "source": path.name, "line": first}, None
            lines = []
    if lines:
        yield first, {"text": "\n".join(lines), "source": path.name, "line": first}, None


def _checked(row: dict[str, Any], nan: Nan) -> dict[str, Any]:
    """A row of plain values; what is neither text, number nor truth becomes JSON.

    Raises:
        DataError: it is no row; the message does not say where.
    """
    text, vector, one = row.get("text"), row.get("vector"), row.get("id")
    if not isinstance(text, str) and (text is not None or vector is None):
        if "text" not in row:
            columns = ", ".join(map(repr, sorted(row))) or "nothing"
            raise DataError(f"expected a text under 'text', or a 'vector'; got {columns}")
        raise DataError(f"expected a text under 'text', got {_json(text)}")
    if one is not None and (not isinstance(one, int | str) or isinstance(one, bool)):
        raise DataError(f"expected a text or a whole number under 'id', got {_json(one)}")
    if isinstance(one, int) and not -(2**63) <= one < 2**63:
        raise DataError(
            f"expected a whole number of at most 64 bits under 'id', got {one}; write it as text"
        )
    if vector is not None:
        _check_vector(vector)
    try:
        checked = {
            key: value if key in ("id", "text", "vector") else _plain(key, value, nan)
            for key, value in row.items()
        }
        for key, value in checked.items():  # lone surrogates are no text
            key.encode()
            if isinstance(value, str):
                value.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"cannot be kept: {error}") from error
    return checked


def _check_vector(vector: list[Any] | np.ndarray[Any, Any]) -> None:
    listed = isinstance(vector, list)
    if listed and not set(map(type, vector)) <= {int, float}:
        raise DataError(f"expected numbers under 'vector', got {_json(vector)}")
    if not listed and not hasattr(vector, "dtype"):
        raise DataError(f"expected numbers under 'vector', got {_json(vector)}")
    if not len(vector):
        raise DataError("expected numbers under 'vector', got none")


def _plain(key: str, value: Any, nan: Nan) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        if math.isnan(value) and nan == "missing":
            return None
        hint = "; `nan` = missing takes it for no value" if math.isnan(value) else ""
        raise ValueError(f"expected a finite number under {key!r}, or null, got {value}{hint}")
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:  # of the other values of Parquet
        kind = type(value).__name__
        raise ValueError(
            f"expected texts, numbers, times, or what JSON has under {key!r}, got a {kind}"
        ) from None


def _json(value: Any) -> str:
    """A value as the file says it, not too long for a message."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _digest(row: dict[str, Any]) -> str:
    vector = row.get("vector")
    if vector is not None and not isinstance(vector, list):
        row = {**row, "vector": vector.tolist()}
    content = json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:32]
