"""An open store, as everybody uses it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aios_core.contracts.primitives import StorePrimitives, fuse
from aios_core.contracts.records import Id, Rows, conform, missing_column, query_vectors
from aios_core.contracts.storage import Capability, Stats
from aios_core.errors import StorageError
from aios_core.filters import Expression, compares_texts, parse

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray


class VectorStore(StorePrimitives):
    """An open store: rows with an id, a vector, and columns to filter by.

    What users call checks what it is given, the same for every backend, and then calls the method
    with an underscore, which a backend writes. Rows come and go as Arrow. A write is one commit:
    all of it, or nothing.

    Scores are similarities, higher is nearer: the cosine for ``cosine``, the inner product for
    ``dot``, and 1 / (1 + d) with the Euclidean distance d for ``l2``. They are in the column
    ``_score``, float32, the best row first. A store whose metric is cosine may keep vectors at
    unit length.
    """

    def add(self, rows: Rows) -> int:
        """Add rows of new ids; returns how many.

        Raises:
            StorageError: a row does not fit, or an id is there already; nothing has changed.
        """
        return self._put(rows, replace=False)

    def upsert(self, rows: Rows) -> int:
        """Add rows, replacing those of the same ids; returns how many."""
        return self._put(rows, replace=True)

    def delete(self, ids: Sequence[Id] | None = None, *, filter: str | None = None) -> int:
        """Delete rows by id or by filter; returns how many there were."""
        self._ready(write=True)
        if (ids is None) == (filter is None):
            raise StorageError("delete wants either ids or a filter")
        if ids is None:
            where = self._where(filter)
            assert where is not None
            return self._remove_where(where)
        wanted = self._ids(ids)
        return self._remove(wanted) if wanted else 0

    def get(self, ids: Sequence[Id], *, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows in the order of the ids; ids that are not there are passed over.

        Args:
            ids: of the store's type.
            columns: which, and in which order; unset: all, the vector included.
        """
        self._ready()
        return self._fetch(self._ids(ids), self._columns(columns, vector=True))

    def search(
        self,
        vector: ArrayLike,
        k: int = 10,
        *,
        filter: str | None = None,
        exact: bool | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """The nearest rows, best first: min(k, rows that match), but for approximate search.

        Args:
            vector: (D,).
            k: how many.
            filter: only rows that it chooses; see `aios_core.filters`.
            exact: True looks at every row, False takes the approximate way; unset: the backend
                decides.
            columns: which, and in which order, before ``_score``; unset: all but the vector.

        Raises:
            StorageError: the query does not fit, or the backend cannot search approximately.
        """
        (found,) = self.search_batch(
            self._queries(vector)[:1], k, filter=filter, exact=exact, columns=columns
        )
        return found

    def search_batch(
        self,
        vectors: ArrayLike,
        k: int = 10,
        *,
        filter: str | None = None,
        exact: bool | None = None,
        columns: Sequence[str] | None = None,
    ) -> list[pa.Table]:
        """As `search`, for each of (Q, D) vectors."""
        self._ready()
        if exact is False:
            self._need("approximate", "search approximately")
        queries, where = self._queries(vectors), self._where(filter)
        shown = self._columns(columns, vector=False)
        return self._nearest(queries, _checked(k), where, exact, shown)

    def search_text(
        self,
        text: str,
        k: int = 10,
        *,
        filter: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Rows whose text shares words with a query, best first by BM25; at most k.

        Raises:
            StorageError: the store has no texts, or the backend cannot search them.
        """
        self._ready()
        self._need("text", "search texts")
        if "text" not in self.schema.names:
            raise StorageError(f"{self.uri} has no column 'text', so there is nothing to search")
        shown = self._columns(columns, vector=False)
        return self._match(text, _checked(k), self._where(filter), shown)

    def search_hybrid(
        self,
        vector: ArrayLike,
        text: str,
        k: int = 10,
        *,
        filter: str | None = None,
        exact: bool | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Near by vector or by text, fused by reciprocal rank, whose scale both share.

        ``_score`` is the sum of 1 / (60 + rank) over the best max(4k, 50) of each (Cormack,
        Clarke and Buettcher, SIGIR 2009).
        """
        deep = max(4 * _checked(k), 50)
        near = self.search(vector, deep, filter=filter, exact=exact, columns=["id"])
        alike = self.search_text(text, deep, filter=filter, columns=["id"])
        scores = fuse(near.column("id").to_pylist(), alike.column("id").to_pylist())
        return self._scored(scores[:k], self._columns(columns, vector=False))

    def count(self, filter: str | None = None) -> int:
        """How many rows there are, or how many of them a filter chooses."""
        self._ready()
        return self._count(self._where(filter))

    def to_batches(
        self,
        *,
        columns: Sequence[str] | None = None,
        filter: str | None = None,
        batch_size: int = 4096,
    ) -> Iterator[pa.RecordBatch]:
        """All rows, or those that a filter chooses, each once, at most ``batch_size`` at a time.

        The vector is among the columns unless others are named.
        """
        import pyarrow as pa

        self._ready()
        shown = self._columns(columns, vector=True)
        for part in self._scan(shown, self._where(filter)):
            whole = part if isinstance(part, pa.Table) else pa.Table.from_batches([part])
            yield from whole.to_batches(batch_size)

    def compact(self) -> None:
        """Give back the room of deleted rows, and bring indexes up to date."""
        self._ready(write=True)
        self._compact()

    def flush(self) -> None:
        """Return once everything that was written is safe."""
        self._ready()
        self._flush()

    def snapshot(self, uri: str) -> None:
        """Write a copy, a store of its own, to a place where nothing is."""
        self._ready()
        self._need("snapshot", "write snapshots")
        self._snapshot(uri)

    def restore(self, uri: str) -> None:
        """Replace all rows by those of a snapshot.

        Raises:
            StorageError: it is no sound snapshot of a store with this schema; nothing has changed.
        """
        self._ready(write=True)
        self._need("snapshot", "restore snapshots")
        self._restore(uri)

    def stats(self) -> Stats:
        """What the store holds."""
        self._ready()
        size, details = self._measure()
        return Stats(self._count(None), self.dim, self.metric, size, details)

    def verify(self) -> int:
        """Read everything back and check it; returns how many rows there are.

        Raises:
            StorageError: at the first thing that is wrong.
        """
        self._ready()
        self._verify()
        seen: set[Id] = set()
        for batch in self._scan(list(self.schema.names), None):
            ids = conform(batch, self.schema, self.metric).column("id").to_pylist()
            if twice := seen.intersection(ids):
                raise StorageError(f"{self.uri}: id {min(twice, key=str)!r} is there twice")
            seen.update(ids)
        if len(seen) != (counted := self._count(None)):
            raise StorageError(f"{self.uri}: {len(seen)} rows can be read, {counted} are counted")
        return len(seen)

    def close(self) -> None:
        """Make everything safe and let go of the store; harmless when repeated."""
        if not self.closed:
            self.closed = True
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _put(self, rows: Rows, *, replace: bool) -> int:
        self._ready(write=True)
        table = conform(rows, self.schema, self.metric)
        if table.num_rows:
            self._write(table, replace=replace)
        return int(table.num_rows)

    def _ready(self, *, write: bool = False) -> None:
        if self.closed:
            raise StorageError(f"the store {self.uri} is closed")
        if write and self.read_only:
            raise StorageError(f"the store {self.uri} was opened for reading only")

    def _need(self, capability: Capability, what: str) -> None:
        if capability not in self.backend.capabilities:
            name, can = type(self.backend).__name__, sorted(self.backend.capabilities)
            raise StorageError(
                f"the backend {name} cannot {what}; beside exact search and filters it can: "
                f"{', '.join(can) or 'nothing'}"
            )

    def _where(self, text: str | None) -> Expression | None:
        where = None if text is None else parse(text, self.filter_columns)
        if where is not None and compares_texts(where):
            self._need("text filters", "filter texts by LIKE or by order")
        return where

    def _queries(self, vectors: ArrayLike) -> NDArray[np.float32]:
        return query_vectors(vectors, self.dim, self.metric)

    def _columns(self, columns: Sequence[str] | None, *, vector: bool) -> list[str]:
        if columns is None:
            return [name for name in self.schema.names if vector or name != "vector"]
        for name in columns:
            if name not in self.schema.names:
                raise missing_column(name, self.schema.names)
        return list(dict.fromkeys(columns))

    def _ids(self, ids: Sequence[Id]) -> list[Id]:
        import pyarrow as pa

        kind = int if self.schema.field("id").type == pa.int64() else str
        for one in ids:
            if not isinstance(one, kind) or isinstance(one, bool):
                raise StorageError(
                    f"id {one!r} is no {kind.__name__}, as the ids of this store are"
                )
        return list(dict.fromkeys(ids))


def _checked(k: int) -> int:
    if k < 1:
        raise StorageError(f"k is {k}; want at least 1")
    return k
