"""USearch: a compact graph for approximate search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
from attrs import field, frozen, validators

from aios_core.contracts import Capability
from aios_core.errors import MissingExtraError
from aios_core.memory.indexed import Found, IndexedBackend, VectorIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.contracts.records import Metric

_METRICS: Final = {"cosine": "cos", "dot": "ip", "l2": "l2sq"}


@frozen
class Usearch(IndexedBackend):
    """Rows in memory, found by USearch (extra ``usearch``).

    What was written is on disk, whole, after `flush` and `close`. The graph is made at the first
    approximate search after opening: a file of it could not be checked.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {"approximate", "text", "text filters", "snapshot"}
    )
    connectivity: int = field(default=16, validator=[validators.ge(2), validators.le(256)])
    """Links of a node of the graph."""
    expansion_add: int = field(default=128, validator=[validators.ge(1), validators.le(65_536)])
    """Candidates kept when a node is linked."""
    expansion_search: int = field(default=64, validator=[validators.ge(1), validators.le(65_536)])
    """Candidates kept by a search; more find more."""
    dtype: Literal["f32", "f16", "i8"] = "f32"
    """Of the graph's own copy of the vectors."""

    def index(self, dim: int, metric: Metric) -> VectorIndex:
        """An empty index."""
        try:
            from usearch.index import Index
        except ImportError as error:
            raise MissingExtraError("storage.type = 'usearch'", "usearch", "usearch") from error
        graph = Index(
            ndim=dim,
            metric=_METRICS[metric],
            dtype=self.dtype,
            connectivity=self.connectivity,
            expansion_add=self.expansion_add,
            expansion_search=self.expansion_search,
        )
        return _Graph(graph, metric)


class _Graph(VectorIndex):
    def __init__(self, graph: Any, metric: Metric) -> None:
        self._graph, self._metric = graph, metric

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
        """By the graph while most rows are allowed, for it knows no filters; else by a scan."""
        share = matches / len(vectors)
        if not exact and share > 0.5:
            known = len(self._graph)
            if known < len(vectors):
                self._graph.add(np.arange(known, len(vectors)), vectors[known:])
            more = k if allowed is None else min(len(vectors), round(2 * k / share))
            found = self._graph.search(query, more)
            rows = np.asarray(found.keys, dtype=np.int64)
            kept = slice(None) if allowed is None else allowed[rows]
            if len(rows[kept]) >= k:
                return rows[kept][:k], self._scores(found.distances)[kept][:k]
        from usearch.index import search

        among = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
        chosen = vectors if allowed is None else vectors[among]
        found = search(chosen, query, k, _METRICS[self._metric], exact=True)
        return among[np.asarray(found.keys, dtype=np.int64)], self._scores(found.distances)

    def _scores(self, distances: Any) -> NDArray[np.float32]:
        raw = np.asarray(distances, dtype=np.float32)
        return 1 / (1 + np.sqrt(np.maximum(raw, 0))) if self._metric == "l2" else 1 - raw
