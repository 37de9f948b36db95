"""Memories of a store, found by texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from attrs import evolve, frozen

from aios_core.contracts.records import dimension, vectors_of
from aios_core.errors import StorageError
from aios_core.memory.opening import check_maker, embedder_of, open_store
from aios_core.memory.place import Place, typed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.contracts import EmbeddingProvider, Id, StorageBackend, VectorStore
    from aios_core.memory.embedding import Embedder


@frozen
class Memory:
    """One row of a store, as it was found."""

    id: Id
    text: str
    """Empty where the store keeps none."""
    score: float
    """Similarity to what it was found by; higher is nearer."""


@frozen(eq=False)
class Memories:
    """What was found for each of B texts, as many as K for one."""

    vectors: NDArray[np.float32]
    """(B, K, E); zero where there is none."""
    scores: NDArray[np.float32]
    """(B, K)."""
    valid: NDArray[np.bool_]
    """(B, K)."""
    rows: tuple[tuple[Memory, ...], ...]
    """Of each text, the nearest first."""

    def where(self, kept: NDArray[np.bool_]) -> Memories:
        """Without those for which ``kept``, broadcast to (B, K), is False; the same ``rows``."""
        return evolve(self, valid=self.valid & kept)

    def taken(self, texts: NDArray[np.int64]) -> Memories:
        """Those of some texts, by number, in that order."""
        rows = tuple(self.rows[number] for number in texts)
        return Memories(self.vectors[texts], self.scores[texts], self.valid[texts], rows)


class Recall:
    """A store with the embedding that belongs to it.

    Args:
        store: open.
        embedder: makes vectors that are comparable with those in it.

    Raises:
        StorageError: they are not.
    """

    def __init__(self, store: VectorStore, embedder: Embedder) -> None:
        self.store, self.embedder = store, embedder
        check_maker(store.schema, embedder.provider)
        if store.dim != embedder.provider.dim:
            raise StorageError(
                f"{store.uri}: has vectors of {store.dim} numbers, and [embedding] makes "
                f"{embedder.provider.dim}; expected the embedding that they were made by"
            )

    @classmethod
    def open(
        cls,
        place: str | None,
        storage: StorageBackend,
        embedding: EmbeddingProvider,
        *,
        dim: int,
        instead: str | None = None,
    ) -> Self:
        """The store of a configuration, for reading.

        Args:
            place: where the store is, of the backend ``storage``.
            storage: that of the configuration.
            embedding: counts where the store does not say who made its vectors.
            dim: E, of the vectors that the network reads.
            instead: another store, as in ``"notes"`` or ``"lancedb:notes"``.

        Raises:
            StorageError: there is none, nobody knows who made its vectors, or they are not what the
                network reads.
        """
        uri = place if instead is None else instead
        if uri is None:
            raise StorageError("no store is named; expected conditioner.store, or another place")
        backend = storage
        if instead is not None:
            other = Place.of(instead)
            if instead != other.uri:  # its type is named
                backend, uri = other.backend, other.uri
        elif not backend.exists(uri):
            raise _moved(uri, backend)
        store = open_store(Place(backend, uri), read=True)
        width = dimension(store.schema)
        if width != dim:
            raise StorageError(
                f"{uri}: has vectors of {width} numbers, and conditioner.dim is {dim}, for which "
                "the network is made; expected the same"
            )
        return cls(store, embedder_of(store.schema, embedding))

    def __call__(self, texts: Sequence[str], k: int, *, exact: bool | None = None) -> Memories:
        """The k memories nearest to each text.

        Args:
            texts: B of them.
            k: K, at least 1; fewer are found where the store has fewer.
            exact: as for `VectorStore.search`.
        """
        queries = self.embedder.embed(texts, side="query")
        columns = [name for name in ("id", "text", "vector") if name in self.store.schema.names]
        nearest = self.store.search_batch(queries, k, exact=exact, columns=columns)
        vectors = np.zeros((len(texts), k, self.store.dim), np.float32)
        scores, valid = np.zeros((len(texts), k), np.float32), np.zeros((len(texts), k), bool)
        rows = []
        for number, table in enumerate(nearest):
            count = table.num_rows
            score = table.column("_score").to_numpy()
            vectors[number, :count], scores[number, :count] = vectors_of(table), score
            valid[number, :count] = True
            ids = table.column("id").to_pylist()
            said = table.column("text").to_pylist() if "text" in columns else [None] * count
            rows.append(
                tuple(
                    Memory(i, t or "", float(s)) for i, t, s in zip(ids, said, score, strict=True)
                )
            )
        return Memories(vectors, scores, valid, tuple(rows))

    def fingerprint(self) -> str:
        """Hex digest of all ids and vectors: what a training recalls depends on nothing else."""
        digest = hashlib.sha256(self.embedder.provider.fingerprint.encode())
        rows = []
        for batch in self.store.to_batches(columns=["id", "vector"]):
            vectors = vectors_of(batch)
            pairs = zip(batch.column("id").to_pylist(), vectors, strict=True)
            rows += [hashlib.sha256(f"{i!r}\0".encode() + v.tobytes()).digest() for i, v in pairs]
        for row in sorted(rows):  # backends do not agree on an order
            digest.update(row)
        return digest.hexdigest()


def _moved(uri: str, backend: StorageBackend) -> StorageError:
    """The error for a configured store that is not there."""
    text = (
        f"{uri}, which conditioner.store or conditioner.uri names, is not a store of "
        f"{type(backend).__name__}"
    )
    if kind := next(filter(None, map(typed, Path(uri).parts)), None):
        return StorageError(
            f"{text}; expected a folder there, and under storage.type what keeps it, as in {kind!r}"
        )
    return StorageError(f"{text}; expected the place where it is now, if it was moved")
