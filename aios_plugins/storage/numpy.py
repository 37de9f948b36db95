"""The reference: every row is looked at, by numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from aios_core.contracts.records import score
from aios_core.memory.indexed import Hits, IndexedBackend, VectorIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.contracts.records import Metric


@frozen
class Numpy(IndexedBackend):
    """Exact search in memory, written to be read; what all others are tested against.

    What was written is on disk, whole, after `flush` and `close`.
    """

    def index(self, dim: int, metric: Metric) -> VectorIndex:
        """Nothing but the metric: the rows themselves are searched."""
        return _Rows(metric)


@frozen
class _Rows(VectorIndex):
    metric: Metric

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
        """The best rows; equal scores in the order of writing."""
        rows = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
        scores = _similarity(vectors if allowed is None else vectors[rows], query, self.metric)
        best = np.argsort(-scores, kind="stable")[:k]
        return rows[best], scores[best]


def _similarity(
    vectors: NDArray[np.float32], query: NDArray[np.float32], metric: Metric
) -> NDArray[np.float32]:
    """(N,), higher is nearer."""
    if metric == "l2":
        return score("l2", np.linalg.norm(vectors - query, axis=1))
    scores = vectors @ query
    if metric == "cosine":
        scores = scores / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query))
    return scores
