"""Stores for libraries that index vectors and keep nothing else.

Write a `VectorIndex` and an `IndexedBackend` that makes it, and the rest is here: rows, ids,
filters, texts, files, locks. All such backends open each other's stores, since an index is derived
and made anew where it is missing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aios_core.contracts.primitives import id_taken
from aios_core.contracts.records import Id, Metric, check_rows, check_schema, vectors_of
from aios_core.contracts.storage import Capability, StorageBackend
from aios_core.contracts.store import VectorStore
from aios_core.errors import StorageError
from aios_core.filters.arrow import mask
from aios_core.memory.bm25 import Bm25
from aios_core.memory.folder import Folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.filters import Expression

Hits: TypeAlias = "tuple[NDArray[np.int64], NDArray[np.float32]]"
"""Rows and their scores as `VectorStore` defines them, best first."""


class VectorIndex(ABC):
    """Finds rows by vector. Rows are numbers from 0 on; each is added once, in order."""

    name: ClassVar[str] = ""
    """Of its file, a word; empty: nothing is worth saving."""

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Take the next rows in, (N, D)."""

    @abstractmethod
    def search(
        self,
        vectors: NDArray[np.float32],
        query: NDArray[np.float32],
        k: int,
        allowed: NDArray[np.bool_] | None,
        matches: int,
        *,
        exact: bool | None,
    ) -> Hits:
        """The best k rows that are allowed.

        Args:
            vectors: all rows, (N, D), as they were added.
            query: (D,).
            k: how many, 1 to `matches`.
            allowed: (N,); None allows all.
            matches: how many rows are allowed.
            exact: see `VectorStore.search`.
        """

    def save(self, path: Path) -> None:
        """Write a file."""

    def load(self, path: Path, rows: int) -> bool:
        """Read what `save` wrote of so many rows; False: it is of no use, so add them again."""
        return False

    def forked(self) -> None:
        """Called in a forked process before its first search, where no thread of a pool exists."""


class IndexedBackend(StorageBackend):
    """Base of backends whose stores are `IndexedStore`.

    Rows are held in memory; what was written is on disk, whole, after `flush` and `close`.
    """

    schemes: ClassVar[frozenset[str]] = frozenset()
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"text", "text filters", "snapshot"})

    @abstractmethod
    def index(self, dim: int, metric: Metric) -> VectorIndex:
        """An empty index.

        Raises:
            MissingExtraError: the library is not installed.
        """

    def exists(self, uri: str) -> bool:
        """Whether a folder holds a store."""
        try:
            Folder(Path(uri), write=False)
        except StorageError as error:
            if "is not a store" not in str(error):
                raise
            return False
        return True

    def create(self, uri: str, schema: pa.Schema, *, metric: Metric = "cosine") -> IndexedStore:
        """Make a store in a folder."""
        index = self.index(check_schema(schema).field("vector").type.list_size, metric)
        folder = Folder.create(Path(uri), metric)
        try:
            store = IndexedStore(self, folder, schema, metric)
            store.fill(schema.empty_table(), index)
            store.flush()
        except BaseException:
            folder.close()
            raise
        return store

    def open(self, uri: str, *, read_only: bool = False) -> IndexedStore:
        """Read a store into memory."""
        folder = Folder(Path(uri), write=not read_only)
        try:
            return folder.read(lambda paths: self.__read(folder, paths, read_only=read_only))
        except BaseException:
            folder.close()
            raise

    def __read(self, folder: Folder, paths: dict[str, Path], *, read_only: bool) -> IndexedStore:
        metric: Metric = folder.manifest["metric"]
        try:
            rows = pq.read_table(paths["rows"])
            alive = rows.column("_alive").to_numpy()
            rows = rows.drop_columns("_alive")
        except (KeyError, OSError, pa.ArrowException) as error:
            raise StorageError(f"{folder.path} is damaged: {error}") from error
        store = IndexedStore(self, folder, check_schema(rows.schema), metric, read_only=read_only)
        check_rows(rows.filter(alive), metric)
        index = self.index(store.dim, metric)
        loaded = index.name in paths and index.load(paths[index.name], rows.num_rows)
        if not loaded:
            index.add(vectors_of(rows))
        store.fill(rows, index, alive, saved=loaded or not index.name)
        return store


class IndexedStore(VectorStore):
    """All rows in memory, the deleted ones too until they are a quarter."""

    def __init__(
        self,
        backend: IndexedBackend,
        folder: Folder,
        schema: pa.Schema,
        metric: Metric,
        *,
        read_only: bool = False,
    ) -> None:
        super().__init__(backend, str(folder.path), schema, metric, read_only=read_only)
        self._maker, self._folder = backend, folder

    def fill(
        self,
        rows: pa.Table,
        index: VectorIndex,
        alive: NDArray[np.bool_] | None = None,
        *,
        saved: bool = False,
    ) -> None:
        """Take these rows, which the index has already, for all there are."""
        self._rows, self._index = rows.combine_chunks(), index
        self._alive = np.ones(rows.num_rows, np.bool_) if alive is None else alive.copy()
        ids = rows.column("id").to_pylist()
        self._place = {row_id: row for row, row_id in enumerate(ids) if self._alive[row]}
        self._changed()
        self._dirty = not saved

    def _changed(self) -> None:
        self._vectors: NDArray[np.float32] | None = None
        self._texts: Bm25 | None = None
        self._dirty = True

    def write_rows(self, rows: pa.Table, *, replace: bool) -> None:
        """Append rows; those that they replace are marked as dead."""
        ids = rows.column("id").to_pylist()
        old = [self._place[row_id] for row_id in ids if row_id in self._place]
        if old and not replace:
            raise id_taken(self, next(row_id for row_id in ids if row_id in self._place))
        self._index.add(vectors_of(rows))
        start = self._rows.num_rows
        self._rows = pa.concat_tables([self._rows, rows])
        if self._rows.column("id").num_chunks > 64:
            self._rows = self._rows.combine_chunks()
        self._alive[old] = False
        self._alive = np.concatenate([self._alive, np.ones(len(ids), np.bool_)])
        self._place.update(zip(ids, range(start, start + len(ids)), strict=True))
        self._changed()

    def remove_rows(self, ids: Sequence[Id]) -> int:
        """Mark rows as dead."""
        gone = [self._place.pop(row_id) for row_id in ids if row_id in self._place]
        if gone:
            self._alive[gone] = False
            self._changed()
        return len(gone)

    def fetch_rows(self, ids: Sequence[Id], columns: Sequence[str]) -> pa.Table:
        """Rows by the place of their ids."""
        return self._take([self._place[row_id] for row_id in ids if row_id in self._place], columns)

    def _take(self, rows: Any, columns: Sequence[str]) -> pa.Table:
        return self._rows.select(columns).take(pa.array(rows, pa.int64()))

    def _chosen(self, where: Expression | None) -> NDArray[np.bool_]:
        return self._alive if where is None else self._alive & mask(where, self._rows)

    def scan_rows(
        self, columns: Sequence[str], where: Expression | None
    ) -> Iterator[pa.RecordBatch]:
        """In the order of writing."""
        rows = self._rows.select(columns).filter(pa.array(self._chosen(where)))
        yield from rows.to_batches()

    def count_rows(self, where: Expression | None) -> int:
        """How many are alive."""
        return int(self._chosen(where).sum())

    def nearest_rows(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Expression | None,
        exact: bool | None,
        columns: Sequence[str],
    ) -> list[pa.Table]:
        """The rows that the index finds."""
        if self._vectors is None:
            self._vectors = vectors_of(self._rows)
        allowed = self._chosen(where)
        matches = int(allowed.sum())
        if not matches:
            return [self._ranked([], [], columns) for _ in queries]
        among = None if matches == len(allowed) else allowed
        k = min(k, matches)
        hits = [
            self._index.search(self._vectors, query, k, among, matches, exact=exact)
            for query in queries
        ]
        return [self._ranked(rows, scores, columns) for rows, scores in hits]

    def _ranked(self, rows: Any, scores: Any, columns: Sequence[str]) -> pa.Table:
        column = pa.array(np.asarray(scores, np.float32))
        return self._take(rows, columns).append_column("_score", column)

    def match_text(
        self, text: str, k: int, where: Expression | None, columns: Sequence[str]
    ) -> pa.Table:
        """By BM25 over the rows that are alive."""
        live = np.flatnonzero(self._alive)
        if self._texts is None:
            self._texts = Bm25(self._rows.column("text").take(live).to_pylist())
        scores = np.where(self._chosen(where)[live], self._texts.scores(text), 0)
        best = np.argsort(-scores, kind="stable")[:k]
        best = best[scores[best] > 0]
        return self._ranked(live[best], scores[best], columns)

    def compact_storage(self) -> None:
        """Drop the dead rows; the index is made anew."""
        rows = self._rows.filter(pa.array(self._alive))
        index = self._maker.index(self.dim, self.metric)
        index.add(vectors_of(rows))
        self.fill(rows, index)

    def flush_storage(self) -> None:
        """Write the next generation of files, if anything changed."""
        if not self._dirty or self.read_only:
            return
        if self._alive.sum() < 0.75 * len(self._alive):
            self.compact_storage()
        rows = self._rows.append_column("_alive", pa.array(self._alive))
        writers = {"rows": lambda path: pq.write_table(rows, path, compression="zstd")}
        if self._index.name:
            writers[self._index.name] = self._index.save
        self._folder.save(writers)
        self._dirty = False

    def save_snapshot(self, uri: str) -> None:
        """A store of its own, without the dead rows."""
        with self._maker.create(uri, self.schema, metric=self.metric) as copy:
            copy.write_rows(self._rows.filter(pa.array(self._alive)), replace=False)

    def restore_snapshot(self, uri: str) -> None:
        """From a store of any backend of this kind, as their files are the same."""
        with self._maker.open(uri, read_only=True) as copy:
            if copy.schema != self.schema or copy.metric != self.metric:
                raise StorageError(f"{uri} is of a store with another schema or metric")
            copy.compact_storage()
            self.fill(copy._rows, copy._index)  # noqa: SLF001

    def refresh_rows(self) -> None:
        """Read the files again, where another process has written newer ones."""
        if self.read_only and self._folder.newer():
            with self._maker.open(self.uri, read_only=True) as latest:
                self._folder.manifest = latest._folder.manifest  # noqa: SLF001 - of its own class
                self.fill(latest._rows, latest._index, latest._alive, saved=True)  # noqa: SLF001

    def measure_storage(self) -> tuple[int, dict[str, Any]]:
        """Bytes of the files, their generation, and the dead rows in memory."""
        dead = len(self._alive) - len(self._place)
        return self._folder.size, {"generation": self._folder.manifest["generation"], "dead": dead}

    def verify_storage(self) -> None:
        """Compare the files with their checksums."""
        self.flush_storage()
        Folder(self._folder.path, write=False).read(lambda _: None)

    def abandon_storage(self) -> None:
        """Leave the lock to the parent."""
        self._folder.abandon()

    def reopen_storage(self) -> None:
        """The rows as they were at the fork are in memory."""
        self._index.forked()

    def close_storage(self) -> None:
        """Write what is not written yet, and release the lock."""
        try:
            self.flush_storage()
        finally:
            self._folder.close()
