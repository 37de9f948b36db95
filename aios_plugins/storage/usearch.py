"""USearch: a compact graph for approximate search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
from attrs import field, frozen, validators

from aios_core.contracts import Capability
from aios_core.contracts.records import score
from aios_core.errors import MissingExtraError, StorageError
from aios_core.memory.indexed import Hits, IndexedBackend, VectorIndex

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from aios_core.contracts.records import Metric

_METRICS: Final = {"cosine": "cos", "dot": "ip", "l2": "l2sq"}


@frozen
class Usearch(IndexedBackend):
    """Rows in memory, found by USearch (extra ``usearch``).

    What was written is on disk, whole, after `flush` and `close`, and so is the graph.
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
    """Of the graph's own copy of the vectors. Few bits keep where they point and not how long they
    are, so all but f32 are for the metric cosine alone; scores are those of the rows themselves."""

    def index(self, dim: int, metric: Metric) -> VectorIndex:
        """An empty index.

        Raises:
            StorageError: the metric looks at lengths, which `dtype` does not keep.
        """
        if self.dtype != "f32" and metric != "cosine":
            raise StorageError(
                f"dtype {self.dtype!r} keeps no lengths of vectors, which the metric {metric!r} "
                "looks at; expected 'f32', or the metric 'cosine'"
            )
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
    name = "usearch"

    def __init__(self, graph: Any, metric: Metric) -> None:
        self._graph, self._metric = graph, metric

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Link the next rows."""
        known = len(self._graph)
        if len(vectors):
            if self._metric == "cosine":  # few bits hold no other lengths
                vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            self._graph.add(np.arange(known, known + len(vectors)), vectors)

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
        """By the graph while most rows are allowed, for it knows no filters; else by a scan."""
        from usearch.index import search

        among = None if allowed is None else np.flatnonzero(allowed)
        share = matches / len(vectors)
        if not exact and share > 0.5:
            more = k if allowed is None else min(len(vectors), round(2 * k / share))
            near = np.asarray(self._graph.search(query, more).keys, dtype=np.int64)
            near = near if allowed is None else near[allowed[near]]
            among = near if len(near) >= k else among
        chosen = vectors if among is None else vectors[among]
        result = search(chosen, query, k, _METRICS[self._metric], exact=True)
        rows = np.asarray(result.keys, dtype=np.int64)
        raw = np.asarray(result.distances, dtype=np.float32)
        raw = raw - 1 if self._metric == "dot" else raw  # usearch's is 1 minus the product
        scores = score(self._metric, raw, squared=True)
        return rows if among is None else among[rows], scores

    def save(self, path: Path) -> None:
        """Write the graph."""
        try:
            self._graph.save(str(path))
        except RuntimeError as error:
            raise StorageError(f"{path} cannot be written: USearch says: {error}") from error

    def load(self, path: Path, rows: int) -> bool:
        """Read it, if it is of the kind that is configured and its links lead nowhere outside."""
        from usearch.compiled import ScalarKind
        from usearch.index import Index

        graph = self._graph
        try:
            said = Index.metadata(str(path)) or {}
        except RuntimeError:
            return False
        right = {
            "kind_metric": graph.metric_kind,
            "kind_scalar": graph.dtype,
            "kind_key": ScalarKind.U64,
            "kind_compressed_slot": ScalarKind.U32,
            "matrix_included": True,
            "matrix_uses_64_bit_dimensions": False,
            "count_present": rows,
            "count_deleted": 0,
            "dimensions": graph.ndim,
        }
        if {key: said.get(key) for key in right} != right:
            return False
        if not _sound(path, rows, graph.connectivity):
            return False
        widths = graph.expansion_add, graph.expansion_search
        graph.load(str(path))
        graph.expansion_add, graph.expansion_search = widths
        return len(graph) == rows


_PIECE: Final = 1 << 16
"""Nodes that are looked at together."""


def _sound(path: Path, rows: int, connectivity: int) -> bool:
    """Whether every link leads to a node that has the level: USearch follows them unchecked."""
    try:
        if rows:
            _check(path, rows, connectivity)
    except ValueError:
        return False
    return True


def _need(right: object) -> None:
    if not right:
        raise ValueError("expected a graph that USearch wrote")


def _check(path: Path, rows: int, connectivity: int) -> None:
    """Raise ValueError unless a file is as USearch writes it.

    That is: numbers of rows and bytes of a row, the vectors, 64 bytes that `Index.metadata` reads,
    five numbers about the graph, the level of each node, and for each node its key, its level, and
    per level how many links it has and room for as many as it may have.
    """
    raw = np.memmap(path, np.uint8, "r")

    def numbers(at: int, count: int, kind: str) -> NDArray[np.int64]:
        part = raw[at : at + count * np.dtype(kind).itemsize]
        return np.frombuffer(part.tobytes(), kind).astype(np.int64)

    def gathered(at: NDArray[np.int64], count: int, kind: str) -> NDArray[np.int64]:
        some = raw[at[:, None] + np.arange(count * np.dtype(kind).itemsize)]
        return np.ascontiguousarray(some).view(kind).astype(np.int64)

    count, width = numbers(0, 2, "<u4").tolist()
    graph = 8 + count * width + 64
    start = graph + 40 + 2 * rows
    _need(count == rows and start <= len(raw))
    size, upper, base, top, entry = numbers(graph, 5, "<u8").tolist()
    _need((size, upper, base) == (rows, connectivity, 2 * connectivity) and 0 <= entry < rows)
    levels = numbers(graph + 40, rows, "<i2")
    _need(levels.min() >= 0 and levels.max() == levels[entry] == top)
    sizes = 10 + 4 * (1 + base) + 4 * (1 + upper) * levels
    offsets = start + np.cumsum(sizes) - sizes
    _need(len(raw) == start + int(sizes.sum()))
    seen = np.zeros(rows, np.bool_)
    for some in np.split(np.arange(rows), range(_PIECE, rows, _PIECE)):
        keys = gathered(offsets[some], 1, "<u8")[:, 0]
        _need(keys.min() >= 0 and keys.max() < rows)
        seen[keys] = True
        _need((gathered(offsets[some] + 8, 1, "<i2")[:, 0] == levels[some]).all())
        for level in range(top + 1):
            there, most = some[levels[some] >= level], base if level == 0 else upper
            before = 0 if level == 0 else 4 * (1 + base) + 4 * (1 + upper) * (level - 1)
            lists = gathered(offsets[there] + 10 + before, 1 + most, "<u4")
            _need((lists[:, 0] <= most).all())
            links = lists[:, 1:][np.arange(most) < lists[:, :1]]
            _need((links < rows).all() and (levels[links] >= level).all())
    _need(seen.all())
