"""Files as rows that can be kept, whatever reads them."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from attrs import field, frozen

from aios_core.contracts.reader import FileRow, OnProgress, unseen
from aios_core.errors import DataError
from aios_core.files import no_file
from aios_core.formats import reader_of
from aios_plugins.commands.memory.columns import Columns

if TYPE_CHECKING:
    import numpy as np

    from aios_core.contracts import FileReader
    from aios_core.registry import Registry

Nan: TypeAlias = Literal["refuse", "missing"]
"""What NaN in a column other than the vector is: an error, or pandas' way to say that there is no
value."""

_NESTED: Final = (list, tuple, dict)


@frozen
class RowFile:
    """A file whose rows become memories."""

    path: Path
    reader: FileReader
    columns: Columns = field(factory=Columns)
    nested: dict[str, int] = field(factory=dict, init=False, eq=False)
    """Columns of lists and objects, which become JSON text, to the first row read that has one."""

    @classmethod
    def of(
        cls, path: Path, registry: Registry | None = None, columns: Columns | None = None
    ) -> RowFile:
        """A file, with the reader of its suffix, or that of text.

        Args:
            path: the file.
            registry: where readers are looked up; None discovers the installed ones.
            columns: what becomes of its columns; unset: they stay.

        Raises:
            PluginError: the reader cannot be used.
        """
        return cls(path, reader_of(path, registry), columns or Columns())

    def check_columns(self) -> None:
        """Whether the columns are there that are asked for.

        Raises:
            DataError: no row has one of them, or the file cannot be read.
        """
        self._check_file()
        try:
            self.columns.check(read.values for read in self.reader.rows(self.path))
        except DataError as error:
            text = str(error)
            raise DataError(text if str(self) in text else f"{self}: {text}") from error

    def __str__(self) -> str:
        return str(self.path)

    def at(self, number: int) -> str:
        """A row of it in a message."""
        return self.reader.where(self.path, number)

    def rows(self, on_progress: OnProgress = unseen, *, nan: Nan = "refuse") -> Iterator[FileRow]:
        """Its rows: ``id``, ``text`` and ``vector`` where they are given, and metadata.

        Values of metadata are texts, numbers, truth values or None. A row without an id gets a hash
        of its content, so that the same content is the same row; of equal ones only the first
        counts. Paragraphs of a text are the same rows wherever they stand in it, and each counts.

        Args:
            on_progress: called with the fraction of the file, in thousandths, that has been read
                since.
            nan: what NaN is.

        Raises:
            DataError: it cannot be read, with file and line.
        """
        self._check_file()
        repeated: Counter[str] = Counter()
        seen: set[str] = set()
        try:
            for read in self.reader.rows(self.path, on_progress):
                number, row = read.number, read.values
                try:
                    row = self.columns.applied(row)
                    checked = _checked(row, nan, self.columns)
                except DataError as error:
                    place = self.reader.place(self.path, read)
                    raise DataError(f"{place}: {error}") from error.__cause__
                for key in row:
                    if isinstance(checked[key], str) and isinstance(row[key], _NESTED):
                        self.nested.setdefault(key, number)
                if checked.get("id") is None:
                    checked["id"] = _identity(checked, repeated)
                    if checked["id"] in seen:
                        continue
                    seen.add(checked["id"])
                own = checked.get("vector") is not None and self.columns.vector is None
                its = read.maker if own else None
                yield FileRow(number, checked, its, read.where)
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror or error}") from error

    def _check_file(self) -> None:
        wrong = no_file(self.path)
        if wrong or not self.path.is_file():  # a pipe cannot be read twice
            wrong = wrong or "is no regular file"
            raise DataError(f"{self.path}: {wrong}; expected a file of rows or text")


def _checked(row: dict[str, Any], nan: Nan, names: Columns) -> dict[str, Any]:
    """A row of plain values; what is neither text, number nor truth becomes JSON.

    Raises:
        DataError: it is not a row; the message does not say where.
    """
    text, vector, row_id = row.get("text"), row.get("vector"), row.get("id")
    if not isinstance(text, str) and (text is not None or vector is None):
        if "text" not in row:
            columns = ", ".join(map(repr, sorted(row))) or "nothing"
            hint = "" if names.text else "; `text` names the column of texts"
            raise DataError(
                f"expected a text under {names.known_as('text')!r}, or a "
                f"{names.known_as('vector')!r}; got {columns}{hint}"
            )
        raise DataError(f"expected a text under {names.known_as('text')!r}, got {_json(text)}")
    if isinstance(row_id, float) and row_id.is_integer() and abs(row_id) <= 2**53:
        row_id = int(row_id)  # as pandas has whole numbers where one is missing
        row = {**row, "id": row_id}
    if row_id is not None and (not isinstance(row_id, int | str) or isinstance(row_id, bool)):
        raise DataError(f"expected a text or a whole number under 'id', got {_json(row_id)}")
    if isinstance(row_id, int) and not -(2**63) <= row_id < 2**63:
        raise DataError(
            f"expected a whole number of at most 64 bits under 'id', got {row_id}; write it as text"
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
        return _finite(key, value, nan)
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    try:
        return json.dumps(_finite(key, value, nan), ensure_ascii=False, allow_nan=False)
    except TypeError:  # of the other values of Parquet
        kind = type(value).__name__
        way = f"`types` = {key}=float64 or {key}=string" if kind == "Decimal" else "`drop`"
        raise ValueError(
            f"expected texts, numbers, times, or what JSON has under {key!r}, got a {kind}; {way} "
            "changes that"
        ) from None


def _finite(key: str, value: Any, nan: Nan) -> Any:
    """A value, all of whose numbers are finite, however deep in lists and objects they are."""
    if isinstance(value, list | tuple):
        return [_finite(key, item, nan) for item in value]
    if isinstance(value, dict):
        return {name: _finite(key, item, nan) for name, item in value.items()}
    if not isinstance(value, float) or math.isfinite(value):
        return value
    if math.isnan(value) and nan == "missing":
        return None
    hint = "; `nan` = missing takes it for no value" if math.isnan(value) else ""
    raise ValueError(f"expected a finite number under {key!r}, or null, got {value}{hint}")


def _json(value: Any) -> str:
    """A value as the file says it, not too long for a message."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _identity(row: dict[str, Any], repeated: Counter[str]) -> str:
    """The id of a row without one: a hash of its content.

    A paragraph keeps its id when lines before it come or go: where it is one of several that are
    equal, it is the first, the second and so on.
    """
    if row.keys() - {"id"} != {"text", "source", "line"}:
        return _digest(row)
    digest = _digest({"text": row["text"], "source": row["source"]})
    repeated[digest] += 1
    number = repeated[digest]
    return digest if number == 1 else _digest({"of": digest, "number": number})


def _digest(row: dict[str, Any]) -> str:
    vector = row.get("vector")
    if vector is not None and not isinstance(vector, list):
        row = {**row, "vector": vector.tolist()}
    content = json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:32]
