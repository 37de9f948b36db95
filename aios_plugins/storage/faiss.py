"""FAISS: flat, or a graph for approximate search."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from attrs import field, frozen, validators

from aios_core.contracts import Capability
from aios_core.contracts.records import score
from aios_core.errors import MissingExtraError, StorageError
from aios_core.memory.indexed import Hits, IndexedBackend, VectorIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.contracts.records import Metric

_NARROW = 0.1
"""Fraction of allowed rows under which a graph walk finds too little, and a scan is faster."""


# It says at every start which of its builds it found.
logging.getLogger("faiss.loader").setLevel(logging.WARNING)


@frozen
class Faiss(IndexedBackend):
    """Rows in memory, found by FAISS (extra ``faiss``).

    What was written is on disk, whole, after `flush` and `close`.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {"approximate", "text", "text filters", "snapshot"}
    )
    index_type: Literal["hnsw", "flat"] = "hnsw"
    """A graph (IndexHNSWFlat), or a scan of all rows (IndexFlat) that is always exact."""
    m: int = field(default=32, validator=[validators.ge(4), validators.le(256)])
    """Links of a node of the graph."""
    ef_construction: int = field(default=40, validator=[validators.ge(1), validators.le(65_536)])
    """Candidates kept when a node is linked."""
    ef_search: int = field(default=64, validator=[validators.ge(1), validators.le(65_536)])
    """Candidates kept by an approximate search; more find more."""

    def index(self, dim: int, metric: Metric) -> VectorIndex:
        """An empty index."""
        try:
            import faiss
        except ImportError as error:
            raise MissingExtraError("storage.type = 'faiss'", "faiss", "faiss") from error
        kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        if self.index_type == "flat":
            return _FaissIndex(self, metric, faiss.IndexFlat(dim, kind))
        graph = faiss.IndexHNSWFlat(dim, self.m, kind)
        graph.hnsw.efConstruction = self.ef_construction
        return _FaissIndex(self, metric, graph)


class _FaissIndex(VectorIndex):
    name = "faiss"

    def __init__(self, settings: Faiss, metric: Metric, index: Any) -> None:
        self._settings, self._metric, self._index = settings, metric, index

    def _prepared(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of length 1 for cosine, which FAISS knows as the inner product of such."""
        if self._metric != "cosine":
            return np.ascontiguousarray(vectors)
        return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Take the next rows in."""
        if len(vectors):
            self._index.add(self._prepared(vectors))

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
        """By the graph, unless exactness is wanted, few rows are allowed, or it finds too few."""
        import faiss

        share = matches / len(vectors)
        flat = self._settings.index_type == "flat"
        selector = None
        if allowed is not None:
            selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        asked = self._prepared(query[None])
        if not (flat or exact or share < _NARROW):
            width = max(self._settings.ef_search, k)
            walk = faiss.SearchParametersHNSW(efSearch=width, sel=selector)
            nearest = self._scored(*self._index.search(asked, k, params=walk))
            if len(nearest[0]) == k:
                return nearest
        storage = self._index if flat else faiss.downcast_index(self._index.storage)
        scan = faiss.SearchParameters(sel=selector)
        return self._scored(*storage.search(asked, k, params=scan))

    def _scored(self, raw: NDArray[np.float32], rows: NDArray[np.int64]) -> Hits:
        there = rows[0] >= 0
        scores = raw[0][there]
        if self._metric == "l2":
            scores = score("l2", scores, squared=True)
        return rows[0][there], scores

    def save(self, path: Path) -> None:
        """Write the index."""
        import faiss

        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            raise StorageError(f"{path} cannot be written: FAISS says: {error}") from error

    def forked(self) -> None:
        """The threads of OpenMP, for which this one would wait, are the parent's."""
        import faiss

        faiss.omp_set_num_threads(1)

    def load(self, path: Path, rows: int) -> bool:
        """Read it, if it is of the kind that is configured and its graph leads nowhere outside."""
        import faiss

        try:
            owner = faiss.read_index(str(path))  # what it is cast to is a view of it
        except RuntimeError:
            return False
        index = faiss.downcast_index(owner)
        same = type(index) is type(self._index) and index.metric_type == self._index.metric_type
        if not same or (index.d, index.ntotal) != (self._index.d, rows):
            return False
        if self._settings.index_type == "hnsw" and not _sound(index.hnsw, rows, self._settings.m):
            return False
        self._index, self._owner = index, owner
        return True


def _sound(hnsw: Any, rows: int, m: int) -> bool:
    """Whether every link leads to a row: FAISS follows them unchecked."""
    import faiss

    offsets, links = (faiss.vector_to_array(array) for array in (hnsw.offsets, hnsw.neighbors))
    levels = faiss.vector_to_array(hnsw.levels)
    if len(levels) != rows or len(offsets) != rows + 1 or hnsw.nb_neighbors(0) != 2 * m:
        return False
    if not rows:
        return True
    per_level = faiss.vector_to_array(hnsw.cum_nneighbor_per_level)
    return bool(
        levels.min() >= 1
        and levels.max() < len(per_level)
        and (np.diff(offsets.astype(np.int64)) == per_level[levels]).all()
        and offsets[0] == 0
        and offsets[-1] == len(links)
        and links.min() >= -1
        and links.max() < rows
        and 0 <= hnsw.entry_point < rows
        and hnsw.max_level < levels[hnsw.entry_point]
    )
