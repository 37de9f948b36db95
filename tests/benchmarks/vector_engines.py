"""Ours and the peers behind one way to search, for `bench_vector`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aios_plugins._native.vector_search import Hnsw, Int8Codes, level, top_k

__all__ = ["Graph", "Int8Codes", "batch", "churn", "exact", "level", "truth"]

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


def truth(base: Floats, queries: Floats, keep: Mask | None = None) -> Rows:
    """The rows of the ten largest inner products, in double precision."""
    allowed = np.arange(len(base)) if keep is None else np.flatnonzero(keep)
    among = base if keep is None else base[allowed]
    best = []
    for query in queries:
        scores = among @ query
        near = np.argpartition(-scores, min(50, len(scores) - 1))[:50]
        sure = among[near].astype(np.float64) @ query.astype(np.float64)
        best.append(allowed[near[np.argsort(-sure)[:10]]])
    return np.array(best)


def exact(base: Floats, query: Floats, engines: Sequence[str]) -> dict[str, Callable[[], Any]]:
    """Ways to find the ten nearest of everything to one query."""
    ways: dict[str, Callable[[], Any]] = {}
    words = base.reshape(-1).view(np.uint64)
    if "ours" in engines:
        codes = Int8Codes(base, metric="inner_product")
        half = base.astype(np.float16)
        ways["sum of all bytes"] = words.sum
        ways["ours"] = lambda: top_k(base, query, 10, metric="inner_product")
        ways["ours float16"] = lambda: top_k(half, query, 10, metric="inner_product")
        ways["ours int8"] = lambda: codes.search(base, query, 10, candidates=40)
    if "numpy" in engines:

        def by_numpy() -> Rows:
            scores = base @ query
            near = np.argpartition(scores, -10)[-10:]
            return near[np.argsort(-scores[near])]

        ways["numpy"] = by_numpy
    if "torch" in engines:
        import torch

        torch.set_num_threads(1)
        tensor, asked = torch.from_numpy(base), torch.from_numpy(query)
        ways["torch"] = lambda: torch.topk(tensor @ asked, 10)
    if "faiss" in engines:
        index = _flat(base)
        ways["faiss"] = lambda: index.search(query[None], 10)
    if "usearch" in engines:
        from usearch.index import MetricKind, search

        ways["usearch"] = lambda: search(base, query, 10, MetricKind.IP, exact=True, threads=1)
    if "ours" in engines:
        ways["a Python loop, of 1 %"] = lambda: sorted(
            range(len(base) // 100),
            key=lambda row: (
                -sum(x * y for x, y in zip(base[row].tolist(), query.tolist(), strict=True))
            ),
        )[:10]
    return ways


def batch(base: Floats, queries: Floats, engines: Sequence[str]) -> dict[str, Callable[[], Any]]:
    """Ways to find the ten nearest of everything to many queries."""
    ways: dict[str, Callable[[], Any]] = {}
    if "ours" in engines:
        ways["ours"] = lambda: top_k(base, queries, 10, metric="inner_product")
    if "numpy" in engines:
        ways["numpy"] = lambda: np.argpartition(queries @ base.T, -10, axis=1)[:, -10:]
    if "torch" in engines:
        import torch

        torch.set_num_threads(1)
        tensor, asked = torch.from_numpy(base), torch.from_numpy(queries)
        ways["torch"] = lambda: torch.topk(asked @ tensor.T, 10)
    if "faiss" in engines:
        index = _flat(base)
        ways["faiss"] = lambda: index.search(queries, 10)
    if "usearch" in engines:
        from usearch.index import MetricKind, search

        ways["usearch"] = lambda: search(base, queries, 10, MetricKind.IP, exact=True, threads=1)
    return ways


def _flat(base: Floats) -> Any:
    import faiss

    faiss.cvar.distance_compute_blas_threshold = 20  # 1.15 needs 128,000 queries for BLAS
    index = faiss.IndexFlatIP(base.shape[1])
    index.add(base)
    return index


class Graph:
    """A graph over unit vectors, of 16 links and 100 candidates where that can be set."""

    def __init__(self, engine: str, base: Floats, threads: int) -> None:
        self.engine, self.base = engine, base
        dim = base.shape[1]
        if engine == "ours":
            self.index: Any = Hnsw(dim, metric="inner_product", degree=16, build_width=100)
            self.index.insert(base, np.arange(len(base), dtype=np.uint32))
        elif engine == "faiss":
            import faiss

            faiss.omp_set_num_threads(threads)
            self.index = faiss.IndexHNSWFlat(dim, 16, faiss.METRIC_INNER_PRODUCT)
            self.index.hnsw.efConstruction = 100
            self.index.add(base)
        elif engine == "hnswlib":
            import hnswlib

            self.index = hnswlib.Index(space="ip", dim=dim)
            self.index.init_index(len(base), M=16, ef_construction=100, allow_replace_deleted=True)
            self.index.add_items(base, np.arange(len(base)), num_threads=threads)
        else:
            from usearch.index import Index

            self.index = Index(
                ndim=dim, metric="ip", dtype="f32", connectivity=16, expansion_add=100
            )
            self.index.add(np.arange(len(base)), base, threads=threads)

    def search(self, query: Floats, width: int, keep: Mask | None = None) -> Rows:
        """The rows of ten near vectors, -1 where there are fewer."""
        if self.engine == "ours":
            result = self.index.search(self.base, query, 10, width=width, filter=keep)[1][0]
        elif self.engine == "faiss":
            import faiss

            chosen = {} if keep is None else {"sel": faiss.IDSelectorBatch(np.flatnonzero(keep))}
            parameters = faiss.SearchParametersHNSW(efSearch=width, **chosen)
            result = self.index.search(query[None], 10, params=parameters)[1][0]
        elif self.engine == "hnswlib":
            self.index.set_ef(width)
            result = self.index.knn_query(query, 10, num_threads=1)[0][0].astype(np.int64)
        else:
            self.index.expansion_search = width
            result = np.array(self.index.search(query, 10).keys, dtype=np.int64)
        short = 10 - len(result)  # padding takes as long as a quarter of a search
        return np.pad(result, (0, short), constant_values=-1) if short else result


def churn(engine: str, base: Floats, threads: int) -> Iterator[tuple[Graph, Mask]]:
    """Ten rounds of a fifth taken out and a fifth put in; half of the rows are in at a time."""
    random = np.random.default_rng(3)
    inside = np.zeros(len(base), bool)
    inside[: len(base) // 2] = True
    graph = Graph(engine, base[: len(base) // 2], threads)
    graph.base = base
    for turn in range(11):
        if turn:
            gone = random.choice(np.flatnonzero(inside), len(base) // 10, replace=False)
            new = random.choice(np.flatnonzero(~inside), len(base) // 10, replace=False)
            inside[gone], inside[new] = False, True
            if engine == "ours":
                graph.index.remove(gone.astype(np.uint32))
                graph.index.insert(base, new.astype(np.uint32))
            elif engine == "usearch":
                graph.index.remove(gone, threads=threads)
                graph.index.add(new, base[new], threads=threads)
            else:
                for row in gone:
                    graph.index.mark_deleted(row)
                graph.index.add_items(base[new], new, num_threads=threads, replace_deleted=True)
        yield graph, inside
