"""What a file holds, found by reading it once before anything is written."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from attrs import define, field, frozen

from aios_core.contracts.maker import Maker
from aios_core.contracts.records import Metric, check_schema, dimension, store_schema
from aios_core.errors import DataError, StorageError

if TYPE_CHECKING:
    import pyarrow as pa

    from aios_core.contracts import VectorStore
    from aios_core.contracts.reader import FileRow
    from aios_plugins.commands.memory.reading import Nan, RowFile

METRIC: Final = b"aios.metric"
"""In the schema of an exported file: the metric of the store that it was."""

_NAMES: Final = {bool: "bool", int: "int64", float: "float64", str: "string"}

_NUMBERS: Final = {"int64", "float64"}


@frozen
class Survey:
    """What a file holds."""

    rows: int
    dim: int | None
    """Of the vectors, where every row has one; None where none has."""
    maker: Maker | None
    """Who made the vectors, where the file says so."""
    metric: Metric | None
    """Of the store that was exported to the file."""
    id_type: Literal["string", "int64"]
    metadata: dict[str, str]
    """Type by column; where rows differ, string."""
    mixed: dict[str, dict[str, int]]
    """Columns that are string since rows differ: each type with the first row that has it."""
    exported: pa.Schema | None
    """Of the store that was exported to the file."""

    def schema(self, dim: int) -> pa.Schema:
        """That of a store for these rows.

        Args:
            dim: numbers in a vector, where the file has none.

        Raises:
            StorageError: there can be no such store.
        """
        if self.exported is not None:
            return self.exported.remove_metadata()
        return store_schema(self.dim or dim, self.metadata, id_type=self.id_type)


def survey(file: RowFile, *, nan: Nan = "refuse", unique: bool = True) -> Survey:
    """Read a file for which there is no store yet.

    Args:
        file: to read.
        nan: what NaN is.
        unique: whether an id that comes twice is an error.

    Raises:
        DataError: it cannot be read, holds no rows, rows do not fit together, or an id comes twice.
    """
    columns, ids = _Columns(file), Ids(file, nan)
    for row in file.rows(nan=nan):
        columns.look(row)
        if unique:
            ids.look(row)
    exported, metric = _exported(file)
    if not columns.rows and exported is None:
        raise DataError(f"{file}: expected rows, got none")
    if unique:
        ids.check()
    return Survey(
        rows=columns.rows,
        dim=next(iter(columns.dims), None) if exported is None else dimension(exported),
        maker=next(iter(columns.makers), None) if exported is None else Maker.read(exported),
        metric=metric,
        id_type="int64" if columns.id_types == {"int64"} else "string",
        metadata=columns.metadata(),
        mixed={} if exported is not None else columns.mixed(),
        exported=exported,
    )


def check_new(file: RowFile, store: VectorStore, *, nan: Nan = "refuse") -> None:
    """Make sure that no id of a file comes twice in it, or is in a store.

    Raises:
        DataError: the file cannot be read, or an id comes twice.
        StorageError: one is in the store.
    """
    ids, text = Ids(file, nan), str(store.schema.field("id").type) == "string"
    for rows in batches(file.rows(nan=nan), 1024):
        numbers = {
            str(row.values["id"]) if text else row.values["id"]: row.number
            for row in rows
            if text or isinstance(row.values["id"], int)  # others are named when they are added
        }
        known = store.get(list(numbers), columns=["id"]).column("id").to_pylist()
        if known:
            first = known[0]
            raise StorageError(
                f"{file.at(numbers[first])}: id {first!r} is in the store already; "
                "expected new ids, or `existing` = skip or replace"
            )
        for row in rows:
            ids.look(row)
    ids.check()


@define
class Ids:
    """Finds ids that come twice, in eight bytes a row."""

    file: RowFile
    nan: Nan
    _hashes: array[int] = field(factory=lambda: array("q"), init=False)

    def look(self, row: FileRow) -> None:
        """Remember an id; 1 and "1" are the same, since texts are ids of most stores."""
        self._hashes.append(hash(str(row.values["id"])))

    def check(self) -> None:
        """Look for one that came twice; the file is read again where hashes are equal.

        Raises:
            DataError: there is one; says where.
        """
        values, counts = np.unique(np.frombuffer(self._hashes, np.int64), return_counts=True)
        suspects = set(values[counts > 1].tolist())
        first: dict[str, int] = {}
        for row in self.file.rows(nan=self.nan) if suspects else ():
            row_id = str(row.values["id"])
            if hash(row_id) in suspects and first.setdefault(row_id, row.number) != row.number:
                raise DataError(
                    f"{self.file.at(row.number)}: id {row_id!r} comes twice, first in "
                    f"{self.file.at(first[row_id])}; expected each id once, or `existing` "
                    "= replace, which takes the last, or skip, which takes the first"
                )


def batches(rows: Iterator[FileRow], size: int) -> Iterator[list[FileRow]]:
    """Rows in lists of so many; the last may be shorter."""
    batch: list[FileRow] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


@define
class _Columns:
    """The columns of rows, as far as they were looked at."""

    file: RowFile
    rows: int = 0
    dims: dict[int | None, int] = field(factory=dict)
    """Numbers in a vector, or None, to the first row that has so many."""
    makers: dict[Maker | None, int] = field(factory=dict)
    id_types: set[str] = field(factory=set)
    types: dict[str, dict[str, int]] = field(factory=dict)
    """Columns to their types, each with the first row that has it."""
    wide: dict[str, int] = field(factory=dict)
    """Columns to the first row whose whole number has more than 64 bits."""

    def look(self, row: FileRow) -> None:
        self.rows += 1
        vector = row.values.get("vector")
        self.dims.setdefault(None if vector is None else len(vector), row.number)
        if len(self.dims) > 1:
            self._differ(self.dims, "a vector of {} numbers", "no vector")
        self.makers.setdefault(row.maker, row.number)
        if len(self.makers) > 1:
            self._differ(self.makers, "a vector of the embedding {}", "one that does not say whose")
        for key, value in row.values.items():
            if key == "id":
                self.id_types.add(_NAMES[type(value)])
            elif key not in ("text", "vector"):
                kinds = self.types.setdefault(key, {})
                if value is not None:
                    kinds.setdefault(_NAMES[type(value)], row.number)
                    if type(value) is int and not -(2**63) <= value < 2**63:
                        self.wide.setdefault(key, row.number)

    def mixed(self) -> dict[str, dict[str, int]]:
        """Columns that become texts since their rows differ."""
        return {
            key: kinds
            for key, kinds in self.types.items()
            if len(kinds) > 1 and kinds.keys() != _NUMBERS
        }

    def metadata(self) -> dict[str, str]:
        """Type by column."""
        types = {}
        for key, kinds in self.types.items():
            only = next(iter(kinds)) if len(kinds) == 1 else None
            types[key] = only or ("float64" if kinds.keys() == _NUMBERS else "string")
            if key in self.wide and types[key] != "string":
                raise DataError(
                    f"{self.file.at(self.wide[key])}: expected a whole number of at "
                    f"most 64 bits under {key!r}; write all of them as texts"
                )
        return types

    def _differ(self, lines: dict[Any, int], some: str, none: str) -> None:
        (value, first), (other, second) = lines.items()
        words = [none if it is None else some.format(it) for it in (value, other)]
        raise DataError(
            f"{self.file.at(second)}: has {words[1]}, and "
            f"{self.file.at(first)} has {words[0]}; expected the same in all rows"
        )


def _exported(file: RowFile) -> tuple[pa.Schema | None, Metric | None]:
    """Schema and metric of the store that `export_file` wrote to a file, if it did."""
    schema = file.reader.schema(file.path)
    if schema is None or file.columns.asked():
        return None, None
    metric: Any = (schema.metadata or {}).get(METRIC, b"").decode(errors="replace")
    if metric not in ("cosine", "dot", "l2"):
        return None, None
    try:
        return check_schema(schema), metric
    except StorageError:  # somebody has changed its columns since
        return None, metric
