"""An open store, as everybody uses it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from aios_core.contracts.asking import ids_of, of_score, weights_of, whole
from aios_core.contracts.exact import shown
from aios_core.contracts.maker import Maker, described
from aios_core.contracts.partial import Changes, check_values
from aios_core.contracts.primitives import StorePrimitives, fuse, scored_rows, sorted_ids
from aios_core.contracts.records import (
    Id,
    Rows,
    conform,
    missing_column,
    query_vector,
    query_vectors,
    vectors_of,
)
from aios_core.contracts.shadowing import check_attribute, check_class
from aios_core.contracts.sharing import SharedStore, turn
from aios_core.contracts.storage import Capability, Stats
from aios_core.contracts.verifying import read_back
from aios_core.errors import StorageError
from aios_core.files import new_folder
from aios_core.filters import Expression, compares_texts, parse

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray


class VectorStore(SharedStore):
    """An open store: rows with an id, a vector, and columns to filter by.

    What users call checks what it is given, the same for every backend, and then calls what a
    backend writes: see `StorePrimitives`. Rows come and go as Arrow. A write is one commit:
    all of it, or nothing.

    Scores are similarities, higher is nearer: the cosine for ``cosine``, the inner product for
    ``dot``, and 1 / (1 + d) with the Euclidean distance d for ``l2``. They are in the column
    ``_score``, float32, the best row first. A store whose metric is cosine may keep vectors at
    unit length.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_class(cls, VectorStore, StorePrimitives)

    if not TYPE_CHECKING:  # mypy lets any attribute be set on a class that has this method

        def __setattr__(self, name: str, value: Any) -> None:
            check_attribute(type(self), VectorStore, StorePrimitives, name, value)
            super().__setattr__(name, value)

    @turn(write=True)
    def add(self, rows: Rows) -> int:
        """Add rows of new ids; returns how many.

        Raises:
            StorageError: a row does not fit, or an id is there already; nothing has changed.
        """
        return self.__put(rows, replace=False)

    @turn(write=True)
    def upsert(self, rows: Rows) -> int:
        """Add rows, replacing those of the same ids; returns how many."""
        return self.__put(rows, replace=True)

    @turn(write=True)
    def update(self, rows: Rows) -> int:
        """Change some columns of rows that are there; returns how many.

        What is not given stays, column by column and row by row; None takes a value away.

        Args:
            rows: of each its id and what changes.

        Raises:
            StorageError: an id is not there, a row does not fit, or the other values of a row are
                not what they were; nothing has changed.
        """
        with self.hold_rows():
            return Changes.of(rows, self.schema).write(self)

    @turn(write=True)
    def update_where(self, values: Mapping[str, Any], filter: str) -> int:
        """Give the rows that a filter chooses the same values; returns how many there are.

        They are changed in one commit, so that all of them are in memory meanwhile.

        Args:
            values: by column; the others stay as they are, None takes a value away.
            filter: as in `search`.

        Raises:
            StorageError: a value does not fit, or an id is among the values; nothing has changed.
        """
        check_values(values, self.schema)
        where = self.__where(filter)
        with self.hold_rows():
            parts = self.scan_rows(["id"], where)
            ids = [row_id for part in parts for row_id in part.column("id").to_pylist()]
            return Changes.of([{"id": id_, **values} for id_ in ids], self.schema).write(self)

    @turn(write=True)
    def delete(self, ids: Iterable[Id] | None = None, *, filter: str | None = None) -> int:
        """Delete rows by id or by filter; returns how many there were."""
        if (ids is None) == (filter is None):
            raise StorageError("delete: expected either ids or a filter")
        if ids is None:
            where = self.__where(filter)
            assert where is not None
            return self.remove_where(where)
        rows = ids_of(ids, self.schema)
        return self.remove_rows(rows) if rows else 0

    @turn()
    def get(self, ids: Iterable[Id], *, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows in the order of the ids; ids that are not there are passed over.

        Args:
            ids: of the store's type.
            columns: which, and in which order; unset: all, the vector included.
        """
        return self.fetch_rows(ids_of(ids, self.schema), self.__columns(columns, vector=True))

    @turn()
    def select(
        self,
        *,
        filter: str | None = None,
        order: str = "id",
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Rows in the order of a column: a page of them, or all.

        Texts are ordered by code point, false before true; rows without a value come last either
        way, and those that are equal in the order of their ids.

        Args:
            filter: only rows that it chooses.
            order: a column other than the vector.
            descending: the largest first.
            limit: at most so many rows; unset: all.
            offset: so many rows of that order are passed over.
            columns: which, and in which order; unset: all but the vector.

        Raises:
            StorageError: there is no such column, or a number is no count.
        """
        if order not in self.filter_columns:
            raise missing_column(order, self.filter_columns)
        first = whole("offset", offset, 0)
        last = None if limit is None else first + whole("limit", limit, 1)
        asked, where = self.__columns(columns, vector=False), self.__where(filter)
        ids = sorted_ids(self.scan_rows([*{"id": 0, order: 0}], where), order, descending)
        return self.fetch_rows(ids[first:last], asked)

    @turn()
    def search(
        self,
        vector: ArrayLike,
        k: int = 10,
        *,
        filter: str | None = None,
        exact: bool | None = None,
        columns: Sequence[str] | None = None,
        min_score: float | None = None,
    ) -> pa.Table:
        """The nearest rows, best first: min(k, rows that match), but for approximate search.

        Args:
            vector: (D,).
            k: how many.
            filter: only rows that it chooses; see `aios_core.filters`.
            exact: True looks at every row, False takes the approximate way; unset: the backend
                decides.
            columns: which, and in which order, before ``_score``; unset: all but the vector.
            min_score: only rows of at least this score.

        Raises:
            StorageError: the query does not fit, or the backend cannot search approximately.
        """
        query = query_vector(vector, self.dim, self.metric)
        (table,) = self.__search(query, k, filter, exact, columns)
        return of_score(table, min_score)

    @turn()
    def search_batch(
        self,
        vectors: ArrayLike,
        k: int = 10,
        *,
        filter: str | None = None,
        exact: bool | None = None,
        columns: Sequence[str] | None = None,
        min_score: float | None = None,
    ) -> list[pa.Table]:
        """As `search`, for each of (Q, D) vectors; nothing for none."""
        queries = query_vectors(vectors, self.dim, self.metric)
        tables = self.__search(queries, k, filter, exact, columns)
        return [of_score(table, min_score) for table in tables]

    @turn()
    def search_like(
        self,
        row_id: Id,
        k: int = 10,
        *,
        filter: str | None = None,
        exact: bool | None = None,
        columns: Sequence[str] | None = None,
        min_score: float | None = None,
    ) -> pa.Table:
        """As `search`, by the vector of a row that is there; the row itself is not among them.

        Raises:
            StorageError: as `search`, or there is no such row.
        """
        (own,) = ids_of([row_id], self.schema)
        own_row = self.fetch_rows([own], ["vector"])
        if not own_row.num_rows:
            raise StorageError(f"id {own!r} is not in {self.uri}; expected that of a row")
        asked = self.__columns(columns, vector=False)
        most, needed = self.__most(k), [*dict.fromkeys([*asked, "id"])]
        table = self.search(
            vectors_of(own_row)[0],
            most + 1,
            filter=filter,
            exact=exact,
            columns=needed,
            min_score=min_score,
        )
        others = [row for row, its in enumerate(table["id"].to_pylist()) if its != own]
        return table.take(others[:most]).select([*asked, "_score"])

    @turn()
    def search_text(
        self,
        text: str,
        k: int = 10,
        *,
        filter: str | None = None,
        columns: Sequence[str] | None = None,
        min_score: float | None = None,
    ) -> pa.Table:
        """Rows whose text shares words with a query, best first by BM25; at most k.

        Those of less than ``min_score`` are left out. Unlike those of vectors, such scores have
        no upper bound, and change with the rows that there are.

        Raises:
            StorageError: the store has no texts, or the backend cannot search them.
        """
        self.__need("text", "search texts")
        if "text" not in self.schema.names:
            raise StorageError(f"{self.uri} has no column 'text', so there is nothing to search")
        if not isinstance(text, str):
            raise StorageError(f"expected a text to search for, got {shown(text)}")
        asked = self.__columns(columns, vector=False)
        table = self.match_text(text, self.__most(k), self.__where(filter), asked)
        return of_score(table, min_score)

    @turn()
    def search_hybrid(
        self,
        vector: ArrayLike,
        text: str,
        k: int = 10,
        *,
        filter: str | None = None,
        exact: bool | None = None,
        columns: Sequence[str] | None = None,
        weights: tuple[float, float] = (1.0, 1.0),
    ) -> pa.Table:
        """Near by vector or by text, fused by reciprocal rank, whose scale both share.

        ``_score`` is the sum of weight / (60 + rank) over the best max(4k, 50) of each (Cormack,
        Clarke and Buettcher, SIGIR 2009, where all weights are 1).

        Args:
            vector: as in `search`, as are the others.
            text: as in `search_text`.
            k: how many.
            filter: only rows that it chooses.
            exact: how vectors are searched.
            columns: which, before ``_score``.
            weights: of the vectors and of the texts, 0 to 1000 each, and not both 0. With 0 for
                one of them, the rows are those of the other alone.
        """
        k = self.__most(k)
        deep = max(4 * k, 50)
        near = self.search(vector, deep, filter=filter, exact=exact, columns=["id"])
        alike = self.search_text(text, deep, filter=filter, columns=["id"])
        rankings = (near.column("id").to_pylist(), alike.column("id").to_pylist())
        scores = fuse(*rankings, weights=weights_of(weights))
        return scored_rows(self, scores[:k], self.__columns(columns, vector=False))

    @turn()
    def count(self, filter: str | None = None) -> int:
        """How many rows there are, or how many of them a filter chooses."""
        return self.count_rows(self.__where(filter))

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

        with self._turn():
            process, asked = os.getpid(), self.__columns(columns, vector=True)
            parts = iter(self.scan_rows(asked, self.__where(filter)))
        while True:
            with self._turn():
                if os.getpid() != process:
                    raise StorageError(f"{self.uri}: batches end at a fork; ask for them again")
                part = next(parts, None)
            if part is None:
                return
            whole = part if isinstance(part, pa.Table) else pa.Table.from_batches([part])
            yield from whole.to_batches(batch_size)

    @turn(write=True)
    def compact(self) -> None:
        """Give back the room of deleted rows, and bring indexes up to date."""
        self.compact_storage()

    @turn()
    def refresh(self) -> None:
        """See what others have written since the store was opened, or last refreshed.

        Many stores see it anyway. Where a call fails, the rows are those of before.
        """
        self.refresh_rows()

    @turn()
    def flush(self) -> None:
        """Return once everything that was written is safe."""
        self.flush_storage()

    @turn()
    def snapshot(self, uri: str) -> None:
        """Write a copy, a store of its own, to a place where nothing is; it appears as a whole.

        Raises:
            StorageError: something is there, it is inside of this store, or it cannot be written.
        """
        self.__need("snapshot", "write snapshots")
        if "://" in uri:
            self.save_snapshot(uri)
            return
        here, target = Path(self.uri).resolve(), Path(uri).resolve()
        if here == target or here in target.parents:
            raise StorageError(f"{uri} is in the store {self.uri}; expected a place outside of it")
        try:
            if target.exists() and (target.is_file() or any(target.iterdir())):
                raise StorageError(f"{uri} is not empty; expected a place where nothing is")
            with new_folder(target) as temporary:
                self.save_snapshot(str(temporary))
        except OSError as error:
            raise StorageError(f"{uri} cannot be written: {error.strerror}") from error

    @turn(write=True)
    def restore(self, uri: str) -> None:
        """Replace all rows by those of a snapshot.

        Raises:
            StorageError: it is no sound snapshot of a store with this schema and with vectors of
                the same embedding; nothing has changed.
        """
        self.__need("snapshot", "restore snapshots")
        with self.backend.open(uri, read_only=True) as copy:
            theirs, ours = Maker.read(copy.schema), Maker.read(self.schema)
        if theirs != ours:
            raise StorageError(
                f"{uri} has vectors of {described(theirs)}, and {self.uri} of {described(ours)}; "
                "expected a snapshot of this store"
            )
        self.restore_snapshot(uri)

    @turn()
    def stats(self) -> Stats:
        """What the store holds."""
        size, details = self.measure_storage()
        return Stats(self.count_rows(None), self.dim, self.metric, size, details)

    @turn()
    def verify(self) -> int:
        """Read everything back and check it; returns how many rows there are.

        Raises:
            StorageError: at the first thing that is wrong.
        """
        self.verify_storage()
        return read_back(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except StorageError as second:
            if error is None:
                raise
            # What went wrong first says what to mend.
            error.add_note(f"closing the store failed as well: {second}")

    def __put(self, rows: Rows, *, replace: bool) -> int:
        table = conform(rows, self.schema, self.metric)
        if table.num_rows:
            self.write_rows(table, replace=replace)
        return int(table.num_rows)

    def __need(self, capability: Capability, what: str) -> None:
        if capability not in self.backend.capabilities:
            raise StorageError(
                f"the backend {type(self.backend).__name__} cannot {what}; expected "
                f"{_INSTEAD[capability]}, or a store of a backend that can, to which `aios memory "
                "migrate` copies the rows"
            )

    def __where(self, text: str | None) -> Expression | None:
        where = None if text is None else parse(text, self.filter_columns)
        if where is not None and compares_texts(where):
            self.__need("text filters", "filter texts by LIKE or by order")
        return where

    def __search(
        self,
        queries: NDArray[np.float32],
        k: int,
        filter: str | None,
        exact: bool | None,
        columns: Sequence[str] | None,
    ) -> list[pa.Table]:
        if exact is False:
            self.__need("approximate", "search approximately")
        where, asked = self.__where(filter), self.__columns(columns, vector=False)
        k = self.__most(k)
        return self.nearest_rows(queries, k, where, exact, asked) if len(queries) else []

    def __most(self, k: int) -> int:
        """How many rows can be found: libraries count in 32 bits, or take memory for each."""
        most = whole("k", k, 1)
        return most if most <= 10_000 else max(1, min(most, self.count_rows(None)))

    def __columns(self, columns: Sequence[str] | None, *, vector: bool) -> list[str]:
        if columns is None:
            return [name for name in self.schema.names if vector or name != "vector"]
        if isinstance(columns, str):
            raise StorageError(f"expected a list of columns, got the text {shown(columns)}")
        for name in columns:
            if name not in self.schema.names:
                raise missing_column(name, self.schema.names)
        return list(dict.fromkeys(columns))


_INSTEAD: Final[Mapping[Capability, str]] = {
    "approximate": "an exact search",
    "text": "a search by a vector",
    "text filters": "texts compared by =, !=, IN or NOT IN",
    "snapshot": "an export of the rows to a file",
}
"""What every backend can do instead."""
