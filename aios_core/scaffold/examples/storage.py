"""A storage backend: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core.contracts.records import score
from aios_core.memory import indexed

AIOS_API = 1


class _Rows(indexed.VectorIndex):
    """Where a library is called that finds vectors: rows, ids, filters and files are the base's."""

    def __init__(self, metric):
        self.metric = metric

    def search(self, vectors, query, k, allowed, matches, *, exact):
        """The best k rows that are allowed, and their scores; here each one is looked at."""
        import numpy as np

        rows = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
        near = vectors[rows]
        if self.metric == "l2":
            scores = score("l2", np.linalg.norm(near - query, axis=1))
        else:
            scores = near @ query
        if self.metric == "cosine":
            scores = scores / (np.linalg.norm(near, axis=1) * np.linalg.norm(query))
        best = np.argsort(-scores, kind="stable")[:k]
        return rows[best], scores[best].astype(np.float32)


@frozen
class Exact(indexed.IndexedBackend):
    """Exact search in memory. What was written is on disk after flush and close."""

    def index(self, dim, metric):
        """An empty index for vectors of dim numbers."""
        return _Rows(metric)


@aios_core.hookimpl
def aios_storage_backends():
    """Names, and the classes they stand for."""
    return {"exact": Exact}
