"""Moving a store from one backend to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from aios_core.contracts.maker import Maker, described
from aios_core.contracts.records import vectors_of
from aios_core.errors import StorageError
from aios_core.files import replace_text
from aios_core.memory.opening import open_store

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from aios_core.contracts import Id, VectorStore
    from aios_core.memory.place import Place


@frozen
class Migration:
    """What was done."""

    rows: int
    """In the source, and now in the target."""
    copied: int
    """Written now; the rest was there already."""


@contextmanager
def target_of(source: VectorStore, from_: Place, to: Place) -> Iterator[VectorStore]:
    """The store that another one moves to, made where there is none.

    A new one in a folder is marked until the block ends without an exception: whoever opens it
    before learns that it is filled in part.

    Args:
        source: open.
        from_: its place.
        to: that of the target.

    Raises:
        StorageError: one place is in the other, or the target cannot be made or opened.
    """
    ours, theirs = from_.folder or from_.uri.rstrip("/"), to.folder or to.uri.rstrip("/")
    if ours == theirs:
        raise StorageError(f"{from_.uri} and {to.uri} are the same store; expected another place")
    if _nested(from_, to) or _nested(to, from_):
        raise StorageError(
            f"one of {from_.uri} and {to.uri} is in the other; expected a place outside of it"
        )
    there = to.backend.exists(to.uri)
    if to.mark is not None and not there:
        try:
            to.mark.parent.mkdir(parents=True, exist_ok=True)
            replace_text(to.mark, f"{from_.uri}\n")
        except OSError as error:
            raise StorageError(f"{to.mark} cannot be written: {error.strerror}") from error
    try:
        with open_store(to, schema=source.schema, metric=source.metric, unfinished=True) as target:
            yield target
    finally:
        if to.mark is not None and not to.backend.exists(to.uri):  # it could not be made
            to.mark.unlink(missing_ok=True)
    if to.mark is not None:
        to.mark.unlink(missing_ok=True)


def _nested(first: Place, other: Place) -> bool:
    return other.folder is not None and first.folder in other.folder.parents


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
        target: of the same schema, metric and embedding; may hold rows of the source, and no
            others.
        batch_size: rows in memory at a time, and in one commit.
        advance: called with how many rows more have been copied or compared; twice each in all.

    Raises:
        StorageError: the stores do not fit together, or a copy is not like its original.
    """
    if source.schema != target.schema or source.metric != target.metric:
        raise StorageError(
            f"{source.uri} ({_maker_of(source)}) cannot move to {target.uri} "
            f"({_maker_of(target)}), which is of another schema or metric; expected a place where "
            "nothing is"
        )
    if (ours := Maker.read(source.schema)) != (theirs := Maker.read(target.schema)):
        raise StorageError(
            f"{source.uri} has vectors of {described(ours)}, and {target.uri} of "
            f"{described(theirs)}; expected a place where nothing is"
        )
    copied, fresh = 0, target.count() == 0
    for batch in source.to_batches(batch_size=batch_size):
        ids = batch.column("id").to_pylist()
        there = set() if fresh else set(ids) - _different(batch, target, ids)
        missing = [row for row, row_id in enumerate(ids) if row_id not in there]
        if missing:
            target.upsert(batch.take(missing))
            copied += len(missing)
        advance(len(ids))
    target.flush()
    rows = 0
    for batch in source.to_batches(batch_size=batch_size):
        ids = batch.column("id").to_pylist()
        if wrong := _different(batch, target, ids):
            first = min(wrong, key=str)
            raise StorageError(
                f"{len(wrong)} of {len(ids)} rows in {target.uri} are not like those of "
                f"{source.uri}; the first is {first!r}. Was one of them written meanwhile?"
            )
        rows += len(ids)
        advance(len(ids))
    if (held := target.count()) != rows:
        raise StorageError(f"{target.uri} holds {held} rows, but {source.uri} {rows}")
    return Migration(rows, copied)


def _maker_of(store: VectorStore) -> str:
    columns = ", ".join(f"{column.name}: {column.type}" for column in store.schema)
    return f"{store.metric}; {columns}"


def _different(batch: pa.RecordBatch, target: VectorStore, ids: list[Id]) -> set[Id]:
    """Ids whose rows the target has not, or has in another way."""
    copies = target.get(ids)
    place = {row_id: row for row, row_id in enumerate(copies.column("id").to_pylist())}
    wrong = {row_id for row_id in ids if row_id not in place}
    rows = np.array([row for row, row_id in enumerate(ids) if row_id in place], np.int64)
    ours = batch.take(rows)
    theirs = copies.take(np.array([place[ids[row]] for row in rows], np.int64))
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
        ours, theirs = (
            vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (ours, theirs)
        )
    close: NDArray[np.bool_] = np.isclose(ours, theirs, rtol=1e-4, atol=1e-6)
    same: NDArray[np.bool_] = np.all(close if metric == "cosine" else ours == theirs, axis=1)
    return same
