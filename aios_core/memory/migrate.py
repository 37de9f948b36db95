"""Moving a store from one backend to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from aios_core.contracts.records import vectors_of
from aios_core.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from aios_core.contracts import Id, VectorStore


@frozen
class Migration:
    """What was done."""

    rows: int
    """In the source, and now in the target."""
    copied: int
    """Written now; the rest was there already."""


def migrate(
    source: VectorStore,
    target: VectorStore,
    *,
    batch_size: int = 1000,
    advance: Callable[[int], None] = lambda _: None,
) -> Migration:
    """Copy all rows, and then compare each with its copy.

    What the target has already, equal in all columns, is passed over: a migration that was
    interrupted is begun again and goes on where it was.

    Args:
        source: read only.
        target: of the same schema and metric; may hold rows of the source, and no others.
        batch_size: rows in memory at a time, and in one commit.
        advance: told how many rows more have been copied or compared; twice each in all.

    Raises:
        StorageError: the stores do not fit together, or a copy is not like its original.
    """
    if source.schema != target.schema or source.metric != target.metric:
        raise StorageError(
            f"{source.uri} ({_told(source)}) cannot move to {target.uri} ({_told(target)}), which "
            "is of another schema or metric; want a place where nothing is"
        )
    copied, fresh = 0, target.count() == 0
    for batch in source.to_batches(batch_size=batch_size):
        ids = batch.column("id").to_pylist()
        there = set() if fresh else set(ids) - _different(batch, target, ids)
        missing = [row for row, one in enumerate(ids) if one not in there]
        if missing:
            target.upsert(batch.take(missing))
            copied += len(missing)
        advance(len(ids))
    target.flush()
    rows = 0
    for batch in source.to_batches(batch_size=batch_size):
        ids = batch.column("id").to_pylist()
        if wrong := _different(batch, target, ids):
            one = min(wrong, key=str)
            raise StorageError(
                f"{len(wrong)} of {len(ids)} rows in {target.uri} are not like those of "
                f"{source.uri}; the first is {one!r}. Was one of them written meanwhile?"
            )
        rows += len(ids)
        advance(len(ids))
    if (held := target.count()) != rows:
        raise StorageError(f"{target.uri} holds {held} rows, but {source.uri} {rows}")
    return Migration(rows, copied)


def _told(store: VectorStore) -> str:
    columns = ", ".join(f"{column.name}: {column.type}" for column in store.schema)
    return f"{store.metric}; {columns}"


def _different(batch: pa.RecordBatch, target: VectorStore, ids: list[Id]) -> set[Id]:
    """Ids whose rows the target has not, or has in another way."""
    found = target.get(ids)
    place = {one: row for row, one in enumerate(found.column("id").to_pylist())}
    wrong = {one for one in ids if one not in place}
    rows = np.array([row for row, one in enumerate(ids) if one in place], np.int64)
    ours = batch.take(rows)
    theirs = found.take(np.array([place[ids[row]] for row in rows], np.int64))
    same = _alike(vectors_of(ours), vectors_of(theirs), target.metric)
    for name in target.schema.names:
        if name != "vector":
            pairs = zip(ours.column(name).to_pylist(), theirs.column(name).to_pylist(), strict=True)
            same &= np.array([a == b for a, b in pairs], np.bool_)
    return wrong | {ids[row] for row, equal in zip(rows, same, strict=True) if not equal}


def _alike(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], metric: str
) -> NDArray[np.bool_]:
    """Which rows are equal, where cosine up to length: the contract lets a backend normalise."""
    if metric == "cosine":
        ours, theirs = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (ours, theirs))
    close: NDArray[np.bool_] = np.isclose(ours, theirs, rtol=1e-4, atol=1e-6)
    same: NDArray[np.bool_] = np.all(close if metric == "cosine" else ours == theirs, axis=1)
    return same
