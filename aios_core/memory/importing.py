"""Filling a store from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from attrs import define

from aios_core.errors import StorageError
from aios_core.memory import reading

if TYPE_CHECKING:
    from aios_core.contracts import VectorStore
    from aios_core.memory.embedding import Embedder

Existing: TypeAlias = Literal["refuse", "skip", "replace"]
"""What becomes of rows whose id is there already."""

T = TypeVar("T")


@define
class Import:
    """How many rows were done with, so far."""

    added: int = 0
    replaced: int = 0
    skipped: int = 0


def import_file(
    store: VectorStore,
    path: Path,
    embed: Embedder,
    *,
    existing: Existing = "refuse",
    batch_size: int = 256,
    told: Callable[[int], None] = lambda _: None,
) -> Import:
    """Add the rows of a file; texts without a vector are embedded.

    Each batch is one commit. An import that was interrupted is begun again with ``skip``.

    Args:
        store: open for writing.
        path: see `aios_core.memory.reading.rows`.
        embed: makes the vectors.
        existing: what becomes of rows whose id is there already.
        batch_size: rows in one commit.
        told: called with the fraction of the file, in thousandths, that has been read since.

    Raises:
        DataError: the file cannot be read.
        StorageError: a row does not fit, or is there already; what was added before stays, and the
            message says how much.
    """
    done = Import()
    try:
        for batch in _batches(reading.rows(path, told), batch_size):
            _take(store, batch, embed, existing, done)
    except StorageError as error:
        if done.added + done.replaced:
            raise StorageError(
                f"{error}\n{done.added + done.replaced} rows of {path} were added before; to go on "
                "later, skip what is there"
            ) from error
        raise
    return done


def _take(
    store: VectorStore,
    batch: list[dict[str, Any]],
    embed: Embedder,
    existing: Existing,
    done: Import,
) -> None:
    if (kind := str(store.schema.field("id").type)) == "string":
        for row in batch:
            row["id"] = str(row["id"])
    ids = [row["id"] for row in batch]
    if wrong := [one for one in ids if kind != "string" and not isinstance(one, int)]:
        raise StorageError(f"id {wrong[0]!r} is no whole number, as the ids of {store.uri} are")
    known = set(store.get(list(dict.fromkeys(ids)), columns=["id"]).column("id").to_pylist())
    if existing == "skip":
        done.skipped += sum(one in known for one in ids)
        batch = [row for row in batch if row["id"] not in known]
    bare = [row for row in batch if row.get("vector") is None]
    if bare:
        if embed.provider.dim != store.dim:
            raise StorageError(
                f"the embedding gives vectors of {embed.provider.dim} numbers, but {store.uri} has "
                f"{store.dim}; set the embedding that it was made with"
            )
        for row, vector in zip(bare, embed.embed([row["text"] for row in bare]), strict=True):
            row["vector"] = vector
    fitted = [reading.fitted(row, store.schema) for row in batch]
    if existing == "refuse":
        store.add(fitted)
    else:
        store.upsert(fitted)
    done.replaced += sum(row["id"] in known for row in batch)
    done.added += sum(row["id"] not in known for row in batch)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
