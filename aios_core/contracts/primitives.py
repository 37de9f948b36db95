"""What a backend writes for a store to be used: five methods, and more where it can do better."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from aios_core.contracts.records import Id, Metric, dimension, filter_columns
from aios_core.errors import StorageError
from aios_core.filters import Expression, Kind

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from aios_core.contracts.storage import StorageBackend


class StorePrimitives(ABC):
    """The half of `VectorStore` that differs between backends.

    To write in every backend: `write_rows`, `remove_rows`, `fetch_rows`, `nearest_rows`,
    `scan_rows`.

    To write for a capability that the backend names: `match_text` for ``text``; `save_snapshot` and
    `restore_snapshot` for ``snapshot``.

    To write where the method here is too little or too slow: `remove_where`, `count_rows`,
    `compact_storage`, `flush_storage`, `measure_storage`, `verify_storage`, `close_storage`,
    `pin_rows`, `hold_rows`, `refresh_rows`; for forked processes `abandon_storage`,
    `reopen_storage`.

    To use, from this module: `id_taken` and `scored_rows`.

    What is passed in has been checked: rows have the store's columns, ids are of its type and come
    once, filters name its columns, k is at least 1. Whatever the other library raises leaves as a
    `StorageError`. A class may have any other methods and attributes: a name that `VectorStore`
    uses itself is refused when the class is made, or the attribute is set.

    Args:
        backend: that made it.
        uri: where it is.
        schema: of its rows.
        metric: how near two vectors are.
        read_only: whether writing is refused.
    """

    backend: StorageBackend
    uri: str
    schema: pa.Schema
    metric: Metric
    read_only: bool
    closed: bool
    dim: int
    filter_columns: dict[str, Kind]

    def __init__(
        self,
        backend: StorageBackend,
        uri: str,
        schema: pa.Schema,
        metric: Metric,
        *,
        read_only: bool = False,
    ) -> None:
        self.backend, self.uri, self.schema, self.metric = backend, uri, schema, metric
        self.read_only, self.closed = read_only, False
        self.dim = dimension(schema)
        self.filter_columns = filter_columns(schema)

    @abstractmethod
    def write_rows(self, rows: pa.Table, *, replace: bool) -> None:
        """Add rows in one commit; where ``replace``, instead of those of the same ids.

        Raises:
            StorageError: not ``replace``, and an id is there already: see `id_taken`.
        """

    @abstractmethod
    def remove_rows(self, ids: Sequence[Id]) -> int:
        """Delete rows; returns how many there were."""

    @abstractmethod
    def fetch_rows(self, ids: Sequence[Id], columns: Sequence[str]) -> pa.Table:
        """Rows in the order of the ids, without those that are not there."""

    @abstractmethod
    def nearest_rows(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Expression | None,
        exact: bool | None,
        columns: Sequence[str],
    ) -> list[pa.Table]:
        """For each of (Q, D) queries its rows, best first, with ``_score``: see `VectorStore`."""

    @abstractmethod
    def scan_rows(
        self, columns: Sequence[str], where: Expression | None
    ) -> Iterator[pa.RecordBatch | pa.Table]:
        """All rows that are chosen, each once, in pieces that fit into memory."""

    def remove_where(self, where: Expression) -> int:
        """Delete what a filter chooses; returns how many."""
        ids = [
            row_id
            for part in self.scan_rows(["id"], where)
            for row_id in part.column("id").to_pylist()
        ]
        return self.remove_rows(ids) if ids else 0

    def count_rows(self, where: Expression | None) -> int:
        """How many rows there are."""
        return sum(part.num_rows for part in self.scan_rows(["id"], where))

    def match_text(
        self, text: str, k: int, where: Expression | None, columns: Sequence[str]
    ) -> pa.Table:
        """Rows by BM25, best first, with ``_score``; for those that can ``text``."""
        raise NotImplementedError

    def save_snapshot(self, uri: str) -> None:
        """Write a copy; for those that can ``snapshot``."""
        raise NotImplementedError

    def restore_snapshot(self, uri: str) -> None:
        """Take the rows of a copy; for those that can ``snapshot``."""
        raise NotImplementedError

    def compact_storage(self) -> None:
        """Give back room."""

    def flush_storage(self) -> None:
        """Make safe what was written."""

    def measure_storage(self) -> tuple[int | None, dict[str, Any]]:
        """Bytes on disk if they are known, and whatever else is worth telling."""
        return None, {}

    def pin_rows(self) -> AbstractContextManager[StorePrimitives]:
        """The rows as they are now, to be read several times, whatever others write meanwhile.

        As it is, for stores that change by calls of this handle alone.
        """
        return nullcontext(self)

    def hold_rows(self) -> AbstractContextManager[object]:
        """Nobody changes rows between what is read and what is written inside.

        As it is, for stores that one call uses at a time, and one process writes.
        """
        return nullcontext()

    def refresh_rows(self) -> None:
        """See what others have written; nothing, for stores that always do."""

    def abandon_storage(self) -> None:
        """Keep off what a process that was just forked shares with its parent: locks, sockets.

        Nothing is written or released here that the parent has; the calls that come later only
        read.
        """

    def reopen_storage(self) -> None:
        """Make reading possible in a forked process, before the first call there.

        Raises:
            StorageError: it is not, which is true of a backend that does not say how.
        """
        raise StorageError(
            f"the store {self.uri} was opened before this process was forked, and its backend "
            f"{type(self.backend).__name__} cannot be used so; open it again in this process"
        )

    def verify_storage(self) -> None:
        """Check what reading all rows would not show, as checksums do."""

    def close_storage(self) -> None:
        """Let go of everything."""


def id_taken(store: StorePrimitives, row_id: Id) -> StorageError:
    """The error for an id that `write_rows` may not replace."""
    return StorageError(
        f"id {row_id!r} is in {store.uri} already; nothing was added (upsert replaces)"
    )


def scored_rows(
    store: StorePrimitives, scored: Sequence[tuple[Id, float]], columns: Sequence[str]
) -> pa.Table:
    """Rows with their scores in ``_score``, for `match_text` of those that find ids first."""
    import pyarrow as pa

    by_id = dict(scored)
    rows = store.fetch_rows(list(by_id), list(dict.fromkeys([*columns, "id"])))
    scores = [by_id[row_id] for row_id in rows.column("id").to_pylist()]
    return rows.select(columns).append_column("_score", pa.array(scores, pa.float32()))


def fuse(*rankings: Sequence[Id], weights: Sequence[float] | None = None) -> list[tuple[Id, float]]:
    """Ids by the sum of weight / (60 + rank), best first; ties as the first ranking has them.

    Args:
        rankings: ids, the best first.
        weights: of each ranking; unset: 1. What has weight 0 is left out.
    """
    scores: defaultdict[Id, float] = defaultdict(float)
    for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True):
        for rank, row_id in enumerate(ranking if weight else (), 1):
            scores[row_id] += weight / (60 + rank)
    return sorted(scores.items(), key=lambda item: -item[1])


def sorted_ids(
    parts: Iterator[pa.RecordBatch | pa.Table], order: str, descending: bool
) -> list[Id]:
    """Ids in the order of a column, see `VectorStore.select`.

    Args:
        parts: rows with their ids and that column.
        order: the column.
        descending: the largest first.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    tables = [pa.table({name: part.column(name) for name in (order, "id")}) for part in parts]
    if not tables:
        return []
    rows = pa.concat_tables(tables)
    keys = [(order, "descending" if descending else "ascending")]
    keys += [("id", "ascending")] if order != "id" else []
    places = pc.sort_indices(rows, sort_keys=keys)  # nulls at the end
    ids: list[Id] = rows.column("id").take(places).to_pylist()
    return ids
