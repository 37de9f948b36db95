"""The default: our own embedded store, in Rust."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
from attrs import field, frozen, validators

from aios_core.contracts import Capability, Id, StorageBackend, VectorStore
from aios_core.contracts.records import check_schema, score
from aios_core.errors import StorageError
from aios_core.filters import Expression, sql

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from aios_core.contracts.records import Metric
    from aios_plugins._native import arrow_storage

_METRICS: Final[Any] = {"cosine": "cosine", "dot": "inner_product", "l2": "l2"}
_NAMES: Final[Any] = {theirs: ours for ours, theirs in _METRICS.items()}


@frozen
class Arrow(StorageBackend):
    """A store in one folder: Arrow segments, mapped into memory, and a log with checksums.

    One process writes at a time, any number read what was there when they opened the store. Under
    ``durability = "commit"`` a write that returned survives the loss of power. A forked process
    reads what was written when it first reads.
    """

    schemes: ClassVar[frozenset[str]] = frozenset()
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {"approximate", "text", "text filters", "snapshot"}
    )
    concurrent: ClassVar[bool] = True
    durability: Literal["commit", "batch", "none"] = "commit"
    """What a write that returned survives: with ``commit`` the loss of power; with ``batch`` the
    death of the process, where the loss of power takes at most the writes of the tenth of a second
    before the latest; with ``none`` the same, where it takes what came after the last flush."""
    compaction: Literal["background", "explicit"] = "background"
    """When segments that have become small or half dead are joined: by a thread of low priority, or
    by `compact` alone."""
    index_rows: int = field(default=10_000, validator=[validators.ge(1), validators.le(2**31 - 1)])
    """Rows from which on `compact` makes a graph for approximate search."""
    width: int = field(default=64, validator=[validators.ge(1), validators.le(65_536)])
    """Candidates that an approximate search keeps; more find more."""

    def exists(self, uri: str) -> bool:
        """Whether a folder holds a store."""
        return (Path(uri) / "MANIFEST").is_file()

    def create(self, uri: str, schema: pa.Schema, *, metric: Metric = "cosine") -> VectorStore:
        """Make a store in a folder."""
        from aios_plugins._native import arrow_storage

        check_schema(schema)
        with _translated(uri):
            store = arrow_storage.Store.create(
                uri,
                schema,
                metric=_METRICS[metric],
                durability=self.durability,
                compaction=self.compaction,
            )
        return _ArrowStore(self, uri, schema, metric, store)

    def open(self, uri: str, *, read_only: bool = False) -> VectorStore:
        """Open a store, and recover what its log holds."""
        from aios_plugins._native import arrow_storage

        with _translated(uri):
            store = arrow_storage.Store.open(
                uri, read_only=read_only, durability=self.durability, compaction=self.compaction
            )
        schema, metric = check_schema(store.schema), _NAMES[store.metric]
        return _ArrowStore(self, uri, schema, metric, store, read_only=read_only)


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """The errors of the crate as ours; some name no place by themselves."""
    from aios_plugins._native import arrow_storage

    try:
        yield
    except arrow_storage.ArrowStorageError as error:
        text = str(error)
        raise StorageError(text if uri in text else f"{uri}: {text}") from error


class _ArrowStore(VectorStore):
    backend: Arrow

    def __init__(self, *arguments: Any, read_only: bool = False) -> None:
        *common, store = arguments
        super().__init__(*common, read_only=read_only)
        self._store: arrow_storage.Store = store
        self._view: arrow_storage.Snapshot | None = None
        self._writing = threading.RLock()  # the crate writes one call at a time, too

    def _rows(self) -> arrow_storage.Snapshot:
        return self._store.snapshot() if self._view is None else self._view

    @contextmanager
    def pin_rows(self) -> Iterator[_ArrowStore]:
        version = _ArrowStore(
            self.backend, self.uri, self.schema, self.metric, self._store, read_only=True
        )
        with _translated(self.uri):
            version._view = self._store.snapshot()
        yield version

    def write_rows(self, rows: pa.Table, *, replace: bool) -> None:
        with self._writing, _translated(self.uri):
            (self._store.upsert if replace else self._store.add)(rows)

    def remove_rows(self, ids: Sequence[Id]) -> int:
        with self._writing, _translated(self.uri):
            return self._store.delete(ids)  # type: ignore[arg-type]

    def remove_where(self, where: Expression) -> int:
        with self._writing, _translated(self.uri):
            return self._store.delete_where(sql(where))

    def fetch_rows(self, ids: Sequence[Id], columns: Sequence[str]) -> pa.Table:
        with _translated(self.uri):
            return self._fit(self._store.get(ids).select(columns))  # type: ignore[arg-type]

    def nearest_rows(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Expression | None,
        exact: bool | None,
        columns: Sequence[str],
    ) -> list[pa.Table]:
        import pyarrow as pa

        with _translated(self.uri):
            batches = self._store.snapshot().search(
                queries,
                k,
                filter=None if where is None else sql(where),
                columns=columns,
                width=max(k, self.backend.width) if exact is False else None,
            )
        tables = []
        for batch in batches:
            raw = batch.column("_distance").to_numpy()
            column = pa.array(score(self.metric, raw, squared=True).astype(np.float32))
            tables.append(self._fit(batch.select(columns)).append_column("_score", column))
        return tables

    def match_text(
        self, text: str, k: int, where: Expression | None, columns: Sequence[str]
    ) -> pa.Table:
        with _translated(self.uri):
            chosen = None if where is None else sql(where)
            batch = self._store.snapshot().search_text(text, k, filter=chosen, columns=columns)
        return self._fit(batch.select(columns)).append_column("_score", batch.column("_score"))

    def scan_rows(
        self, columns: Sequence[str], where: Expression | None
    ) -> Iterator[pa.RecordBatch | pa.Table]:
        with _translated(self.uri):
            chosen = None if where is None else sql(where)
            for batch in self._rows().batches(filter=chosen, columns=columns):
                yield self._fit(batch)

    def count_rows(self, where: Expression | None) -> int:
        with _translated(self.uri):
            return self._rows().count(None if where is None else sql(where))

    def compact_storage(self) -> None:
        with _translated(self.uri):
            self._store.compact()
            if self._store.snapshot().count() >= self.backend.index_rows:
                self._store.create_index()

    def flush_storage(self) -> None:
        if not self.read_only:
            with _translated(self.uri):
                self._store.sync()

    def save_snapshot(self, uri: str) -> None:
        with _translated(uri):
            self._store.save_snapshot(uri)

    def restore_snapshot(self, uri: str) -> None:
        with self._writing, _translated(uri):
            self._store.restore_snapshot(uri)

    def hold_rows(self) -> AbstractContextManager[object]:
        return self._writing

    def refresh_rows(self) -> None:
        with _translated(self.uri):
            self._store.refresh()

    def measure_storage(self) -> tuple[int, dict[str, Any]]:
        with _translated(self.uri):
            stats: dict[str, Any] = {**self._store.stats()}
        return stats.pop("bytes"), {name: stats[name] for name in stats if name != "rows"}

    def verify_storage(self) -> None:
        with _translated(self.uri):
            self._store.verify(self.uri)

    def abandon_storage(self) -> None:
        self._store.let_go()

    def reopen_storage(self) -> None:
        from aios_plugins._native import arrow_storage

        with _translated(self.uri):
            self._store = arrow_storage.Store.open(self.uri, read_only=True)

    def close_storage(self) -> None:
        with _translated(self.uri):
            self._store.close()

    def _fit(self, batch: pa.RecordBatch) -> pa.Table:
        """With our schema and its metadata."""
        import pyarrow as pa

        fields = [self.schema.field(name) for name in batch.schema.names]
        schema = pa.schema(fields, metadata=self.schema.metadata)
        return pa.Table.from_batches([batch]).cast(schema)
