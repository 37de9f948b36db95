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

Found: TypeAlias = "tuple[NDArray[np.int64], NDArray[np.float32]]"
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
    ) -> Found:
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
            return folder.read(lambda paths: self._read(folder, paths, read_only=read_only))
        except BaseException:
            folder.close()
            raise

    def _read(self, folder: Folder, paths: dict[str, Path], *, read_only: bool) -> IndexedStore:
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
        self._place = {one: row for row, one in enumerate(ids) if self._alive[row]}
        self._changed()
        self._dirty = not saved

    def _changed(self) -> None:
        self._vectors: NDArray[np.float32] | None = None
        self._texts: Bm25 | None = None
        self._dirty = True

    def _write(self, rows: pa.Table, *, replace: bool) -> None:
        ids = rows.column("id").to_pylist()
        old = [self._place[one] for one in ids if one in self._place]
        if old and not replace:
            raise self._taken(next(one for one in ids if one in self._place))
        self._index.add(vectors_of(rows))
        start = self._rows.num_rows
        self._rows = pa.concat_tables([self._rows, rows])
        if self._rows.column("id").num_chunks > 64:
            self._rows = self._rows.combine_chunks()
        self._alive[old] = False
        self._alive = np.concatenate([self._alive, np.ones(len(ids), np.bool_)])
        self._place.update(zip(ids, range(start, start + len(ids)), strict=True))
        self._changed()

    def _remove(self, ids: Sequence[Id]) -> int:
        gone = [self._place.pop(one) for one in ids if one in self._place]
        if gone:
            self._alive[gone] = False
            self._changed()
        return len(gone)

    def _fetch(self, ids: Sequence[Id], columns: Sequence[str]) -> pa.Table:
        return self._take([self._place[one] for one in ids if one in self._place], columns)

    def _take(self, rows: Any, columns: Sequence[str]) -> pa.Table:
        return self._rows.select(columns).take(pa.array(rows, pa.int64()))

    def _chosen(self, where: Expression | None) -> NDArray[np.bool_]:
        return self._alive if where is None else self._alive & mask(where, self._rows)

    def _scan(self, columns: Sequence[str], where: Expression | None) -> Iterator[pa.RecordBatch]:
        rows = self._rows.select(columns).filter(pa.array(self._chosen(where)))
        yield from rows.to_batches()

    def _count(self, where: Expression | None) -> int:
        return int(self._chosen(where).sum())

    def _nearest(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Expression | None,
        exact: bool | None,
        columns: Sequence[str],
    ) -> list[pa.Table]:
        if self._vectors is None:
            self._vectors = vectors_of(self._rows)
        allowed = self._chosen(where)
        matches = int(allowed.sum())
        if not matches:
            return [self._ranked([], [], columns) for _ in queries]
        among = None if matches == len(allowed) else allowed
        k = min(k, matches)
        found = [
            self._index.search(self._vectors, query, k, among, matches, exact=exact)
            for query in queries
        ]
        return [self._ranked(rows, scores, columns) for rows, scores in found]

    def _ranked(self, rows: Any, scores: Any, columns: Sequence[str]) -> pa.Table:
        column = pa.array(np.asarray(scores, np.float32))
        return self._take(rows, columns).append_column("_score", column)

    def _match(
        self, text: str, k: int, where: Expression | None, columns: Sequence[str]
    ) -> pa.Table:
        live = np.flatnonzero(self._alive)
        if self._texts is None:
            self._texts = Bm25(self._rows.column("text").take(live).to_pylist())
        scores = np.where(self._chosen(where)[live], self._texts.scores(text), 0)
        best = np.argsort(-scores, kind="stable")[:k]
        best = best[scores[best] > 0]
        return self._ranked(live[best], scores[best], columns)

    def _compact(self) -> None:
        rows = self._rows.filter(pa.array(self._alive))
        index = self._maker.index(self.dim, self.metric)
        index.add(vectors_of(rows))
        self.fill(rows, index)

    def _flush(self) -> None:
        if not self._dirty or self.read_only:
            return
        if self._alive.sum() < 0.75 * len(self._alive):
            self._compact()
        rows = self._rows.append_column("_alive", pa.array(self._alive))
        writers = {"rows": lambda path: pq.write_table(rows, path, compression="zstd")}
        if self._index.name:
            writers[self._index.name] = self._index.save
        self._folder.save(writers)
        self._dirty = False

    def _snapshot(self, uri: str) -> None:
        with self._maker.create(uri, self.schema, metric=self.metric) as copy:
            copy._write(self._rows.filter(pa.array(self._alive)), replace=False)  # noqa: SLF001

    def _restore(self, uri: str) -> None:
        with self._maker.open(uri, read_only=True) as copy:
            if copy.schema != self.schema or copy.metric != self.metric:
                raise StorageError(f"{uri} is of a store with another schema or metric")
            copy._compact()  # noqa: SLF001
            self.fill(copy._rows, copy._index)  # noqa: SLF001

    def _measure(self) -> tuple[int, dict[str, Any]]:
        dead = len(self._alive) - len(self._place)
        return self._folder.size, {"generation": self._folder.manifest["generation"], "dead": dead}

    def _verify(self) -> None:
        self._flush()
        Folder(self._folder.path, write=False).read(lambda _: None)

    def _abandon(self) -> None:
        self._folder.abandon()

    def _reopen(self) -> None:
        """The rows as they were at the fork are in memory."""
        self._index.forked()

    def _close(self) -> None:
        try:
            self._flush()
        finally:
            self._folder.close()
