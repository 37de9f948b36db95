"""Filling a store from a file."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from attrs import define, field

from aios_core.contracts.maker import Maker
from aios_core.contracts.maker import described as whose
from aios_core.contracts.records import Metric, conform
from aios_core.errors import AIOSError, DataError, InferenceError, RowError, StorageError
from aios_core.memory.opening import UnknownMakerError, embedder, is_set, open_store
from aios_plugins.commands.memory.leaving import Left
from aios_plugins.commands.memory.reading import RowFile
from aios_plugins.commands.memory.surveying import batches, check_new, survey

if TYPE_CHECKING:
    import pyarrow as pa

    from aios_core.contracts import VectorStore
    from aios_core.contracts.reader import FileRow
    from aios_core.memory.embedding import Embedder
    from aios_core.memory.place import Place
    from aios_core.registry import Registry
    from aios_plugins.commands.memory.columns import Columns
    from aios_plugins.commands.memory.reading import Nan
    from aios_plugins.commands.memory.surveying import Survey

log = logging.getLogger(__name__)

Existing: TypeAlias = Literal["refuse", "skip", "replace"]
"""What becomes of rows whose id is there already, in the store or before in the file: an error
before anything is written, the first counts, or the last counts."""


@define
class Import:
    """How many rows were done with, so far."""

    added: int = 0
    replaced: int = 0
    skipped: int = 0
    rows: int = 0
    """In the store, at the end."""
    dropped: int = 0
    """That left the file."""


def import_file(
    place: Place,
    path: Path,
    *,
    existing: Existing = "refuse",
    metric: Metric | None = None,
    nan: Nan = "refuse",
    columns: Columns | None = None,
    drop_missing: bool = False,
    config: Path | None = None,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
    batch_size: int = 256,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Import:
    """Add the rows of a file to a store, which is made where there is none.

    Each batch is one commit. An import that was interrupted is begun again with ``skip``; where
    nothing was added, no store is made. Texts without a vector are embedded by what made the
    vectors of the store; vectors in the file must have been made by it too, or both by nobody knows
    whom. Whoever sets ``[embedding]`` says who made those vectors that do not say it.

    Args:
        place: of the store.
        path: of any kind that has a reader (the kind ``reader``); what has none is text.
        existing: what becomes of rows whose id is there already.
        metric: of the store; unset: of an exported file, that of its store, else cosine.
        nan: what NaN in a column other than the vector is.
        columns: which columns of the file become which of the store; unset: as they are named.
        drop_missing: whether rows go that were added from the same ``source`` and are not in the
            file any more; such a file has to have that column, as texts have, and ``existing`` is
            not ``refuse``.
        config: a TOML file whose ``[embedding]`` counts.
        overrides: ``key=value`` each, on top of it.
        registry: where providers and readers are looked up; None discovers the installed ones.
        batch_size: rows in one commit.
        on_progress: called with the fraction of the file, in thousandths, that has been read since.

    Raises:
        DataError: the file cannot be read.
        StorageError: a row does not fit, is there already, or has a vector of another maker. Says
            which, and how many were added before, which stay.
    """
    if drop_missing and existing == "refuse":
        raise StorageError("rows that left a file: expected `existing` = skip or replace with it")
    file = RowFile.of(path, registry, columns)
    file.check_columns()
    settings: dict[str, Any] = {"config": config, "overrides": overrides, "registry": registry}
    if place.backend.exists(place.uri):
        store = open_store(place)
        schema, metric_, made = store.schema, store.metric, False
    else:
        surveyed = survey(file, nan=nan, unique=existing == "refuse")
        _tell_mixed(surveyed, file)
        store, schema = None, _schema(surveyed, file, settings)
        metric_, made = metric or surveyed.metric or "cosine", True
    left = Left(place.uri) if drop_missing else None
    filling = _Filling(file, place, existing, schema, metric_, settings, store, made, left)
    try:
        filling.check(metric, nan)
        filling.run(nan, batch_size, on_progress)
    except BaseException:
        filling.abandon()
        raise
    filling.close()
    if file.nested:
        nested = ", ".join(f"{key!r} ({file.at(row)})" for key, row in file.nested.items())
        log.info("columns whose lists and objects are kept as JSON text: %s", nested)
    return filling.done


_WORDS: Final = {
    "bool": "a truth value",
    "int64": "a whole number",
    "float64": "a number",
    "string": "a text",
}


def _tell_mixed(surveyed: Survey, file: RowFile) -> None:
    """Say which columns become texts because rows differ: 10 is "10" there."""
    for key, kinds in surveyed.mixed.items():
        (row, kind), *others = sorted(
            ((row, kind) for kind, row in kinds.items()), key=lambda pair: pair[1] != "string"
        )
        beside = " and ".join(f"{_WORDS[kind]} in {file.at(row)}" for row, kind in others)
        log.info(
            "column %r: kept as text because of %s, which has %s, beside %s; expected values of "
            "one type to keep it",
            *(key, file.at(row), _WORDS[kind], beside),
        )


def _schema(surveyed: Survey, file: RowFile, settings: dict[str, Any]) -> pa.Schema:
    """Of a new store for a file."""
    provider, set_to = None, None
    if surveyed.dim is None or is_set(settings["config"], settings["overrides"]):
        made, values = embedder(None, **settings)
        provider, set_to = made.provider, Maker.of(made.provider, values)
    if surveyed.dim is not None and provider is not None and provider.dim != surveyed.dim:
        raise StorageError(
            f"{file}: has vectors of {surveyed.dim} numbers, but [embedding], which says who made "
            f"them, makes {provider.dim}; expected the one that made them, or none"
        )
    if surveyed.maker is not None and set_to not in (None, surveyed.maker):
        raise StorageError(
            f"{file}: has vectors of {whose(surveyed.maker)}, but [embedding] is set to {set_to}; "
            "expected the same, or leave it"
        )
    maker = surveyed.maker or set_to
    try:
        schema = surveyed.schema(0 if provider is None else provider.dim)
    except StorageError as error:
        raise StorageError(f"{file}: {error}; `rename` and `drop` change that") from error
    return schema if maker is None else maker.write(schema)


def fitted(row: dict[str, Any], texts: Collection[str]) -> dict[str, Any]:
    """A row whose values are texts in the columns where the store keeps texts."""
    return {
        key: value
        if value is None or isinstance(value, str) or key not in texts
        else json.dumps(value, ensure_ascii=False)
        for key, value in row.items()
    }


@define
class _Filling:
    """One import."""

    file: RowFile
    place: Place
    existing: Existing
    schema: pa.Schema
    metric: Metric
    settings: dict[str, Any]
    store: VectorStore | None
    """None until the first rows are known to fit."""
    made: bool
    """Whether the store is made by this import."""
    left: Left | None
    """What knows the rows that left the file, where they shall go."""
    done: Import = field(factory=Import, init=False)
    _set: Maker | None = field(default=None, init=False)
    """What ``[embedding]`` says of vectors that do not say it."""
    _embedder: Embedder | None = field(default=None, init=False)
    _fitted: set[str] = field(factory=set, init=False)
    """Columns of which it is said that the store keeps them as text."""

    def check(self, metric: Metric | None, nan: Nan) -> None:
        """Find what is wrong with all of the import, before anything is written."""
        if metric not in (None, self.metric):
            raise StorageError(f"{self.place.uri}: its metric is {self.metric}, got {metric}")
        if self.store is not None and self.existing == "refuse":
            check_new(self.file, self.store, nan=nan)

    def run(self, nan: Nan, batch_size: int, on_progress: Callable[[int], None]) -> None:
        """Add the rows of the file."""
        if is_set(self.settings["config"], self.settings["overrides"]):
            made, values = embedder(self.schema, **self.settings)
            self._set = Maker.of(made.provider, values)
        maker = Maker.read(self.schema) or self._set
        try:
            for batch in batches(self.file.rows(on_progress, nan=nan), batch_size):
                self._take(batch, maker)
        except AIOSError as error:
            kind = DataError if isinstance(error, DataError) else StorageError
            raise kind(f"{error}{self._so_far()}") from error
        except KeyboardInterrupt:
            log.warning("%s: stopped%s", self.file, self._so_far())
            raise
        store = self._ready()
        if self.left is not None:
            self.done.dropped = self.left.drop(store)
        self.done.rows = store.count()

    def close(self) -> None:
        """Let go of the store."""
        if self.store is not None:
            self.store.close()

    def abandon(self) -> None:
        """Let go of the store after an error, which counts more than one of closing would.

        A store that this import made, and that has no rows, does not stay.
        """
        if self.store is None:
            return
        with suppress(StorageError):
            self.store.close()
        rows = self.done.added + self.done.replaced
        if self.made and not rows and self.store.backend.embedded and "://" not in self.place.uri:
            shutil.rmtree(self.place.uri, ignore_errors=True)

    def _ready(self) -> VectorStore:
        if self.store is None:
            self.store = open_store(self.place, schema=self.schema, metric=self.metric)
        return self.store

    def _so_far(self) -> str:
        count = self.done.added + self.done.replaced
        if not count:
            return ""
        return (
            f"\n{count} rows of {self.file} were added before, and stay; to go on from there, "
            "`existing` = skip"
        )

    def _take(self, batch: list[FileRow], maker: Maker | None) -> None:
        unique = self._unique(batch)
        if self.left is not None:
            self.left.keep(unique)
        known: set[Any] = set()
        if self.existing != "refuse" and self.store is not None:
            stored = self.store.get(list(unique), columns=["id"])
            known = set(stored.column("id").to_pylist())
        twice = len(batch) - len(unique)
        if self.existing == "skip":
            self.done.skipped += twice + len(known)
            unique = {row_id: row for row_id, row in unique.items() if row_id not in known}
        rows = list(unique.values())
        self._embed(rows, maker)
        texts = {part.name for part in self.schema if str(part.type) == "string"}
        values = [fitted({**row.values, "id": row_id}, texts) for row_id, row in unique.items()]
        if not self.made:
            self._tell_fitted(rows, values)
        try:
            table = conform(values, self.schema, self.metric)
            store = self._ready()
            (store.add if self.existing == "refuse" else store.upsert)(table)
        except StorageError as error:
            raise self._located(error, rows, values) from error
        if self.existing == "replace":
            self.done.replaced += twice + len(known)
            self.done.added += len(rows) - len(known)
        else:
            self.done.added += len(rows)

    def _tell_fitted(self, rows: list[FileRow], values: list[dict[str, Any]]) -> None:
        """Say of each column, once, that the store keeps as text what is none in the file."""
        for row, value in zip(rows, values, strict=True):
            for key, given in row.values.items():
                if key in self._fitted or key == "id" or given is value[key]:
                    continue
                self._fitted.add(key)
                log.info(
                    "column %r: kept as text, as the store has it: %s has %r",
                    *(key, self._at(row), given),
                )

    def _unique(self, batch: list[FileRow]) -> dict[Any, FileRow]:
        """Rows by their ids as the store has them, each once."""
        text = str(self.schema.field("id").type) == "string"
        unique: dict[Any, FileRow] = {}
        for row in batch:
            row_id = str(row.values["id"]) if text else row.values["id"]
            if not text and not isinstance(row_id, int):
                raise StorageError(
                    f"{self._at(row)}: expected a whole number as id, as in the store, "
                    f"got {row_id!r}"
                )
            if self.existing != "skip" or row_id not in unique:
                unique[row_id] = row
        return unique

    def _embed(self, rows: list[FileRow], maker: Maker | None) -> None:
        """Look at who made the vectors, and make those that are missing."""
        bare = []
        for row in rows:
            if row.values.get("vector") is None:
                bare.append(row)
            elif (its := row.maker or self._set) != maker:
                raise StorageError(
                    f"{self._at(row)}: id {row.values['id']!r}: the vector was made by "
                    f"{whose(its)}, those of {self.place.uri} by {whose(maker)}; expected "
                    "one for all. If it is the same, [embedding] says so (--set "
                    "embedding.type=...); without 'vector', the text is embedded"
                )
        if not bare:
            return
        try:
            if self._embedder is None:
                self._embedder, _ = embedder(self.schema, **self.settings)
            vectors = self._embedder.embed([row.values["text"] for row in bare])
        except UnknownMakerError as error:
            raise StorageError(f"{self._at(bare[0])}: has no vector, and {error}") from error
        except InferenceError as error:
            raise StorageError(f"{self._at(bare[0])} or a row after it: {error}") from error
        for row, vector in zip(bare, vectors, strict=True):
            row.values["vector"] = vector

    def _at(self, row: FileRow) -> str:
        return self.file.at(row.number)

    def _located(
        self, error: StorageError, rows: list[FileRow], values: list[dict[str, Any]]
    ) -> StorageError:
        """An error that says which line of the file is meant."""
        if isinstance(error, RowError) and error.row is not None:
            row = rows[error.row]
            return StorageError(f"{self._at(row)}: id {row.values['id']!r}: {error.what}")
        for row, value in zip(rows, values, strict=True):
            try:
                conform([value], self.schema, self.metric)
            except StorageError as alone:
                what = alone.what if isinstance(alone, RowError) else alone
                return StorageError(f"{self._at(row)}: id {row.values['id']!r}: {what}")
        if not rows:
            return error
        return StorageError(f"{self._at(rows[0])} to {rows[-1].number}: {error}")
