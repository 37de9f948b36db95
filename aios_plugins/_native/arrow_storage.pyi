# Types of what native/bindings makes of native/arrow_storage.

from collections.abc import Sequence
from os import PathLike
from typing import Final, Literal, TypedDict, final, type_check_only

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["ArrowStorageError", "Snapshot", "Store", "words"]

# Of all that this module is compiled from: SHA-256 in hexadecimal, the same on every machine.
__source_digest__: Final[str]

def words(text: str, *, query: bool = False) -> list[str]: ...

class ArrowStorageError(Exception):
    # "arrow", "closed", "corrupt", "duplicate_id", "filter", "forked", "io", "locked", "newer",
    # "no_column", "not_a_store", "not_empty", "not_finite", "null", "read_only", "removed",
    # "schema", "search", "stopped", "too_large".
    kind: str

@type_check_only
class Report(TypedDict):
    rows: int
    dead: int  # deleted or replaced, and still taking room
    segments: int
    bytes: int  # of segments and log

@type_check_only
class Stats(Report):
    indexed: int  # rows that a graph covers

# A view that never changes, whatever is written later. Cheap to take; all reading is here.
#
# `filter` is SQL-like, as in "lang = 'en' AND (year >= 2020 OR title LIKE '%cat%')"; `columns`
# chooses and orders what is returned. With `width` a search is approximate: that many candidates
# are weighed. Distances are in the column _distance, smaller is nearer: 1 - cos, -dot, squared L2.
@final
class Snapshot:
    @property
    def schema(self) -> pa.Schema: ...
    @property
    def metric(self) -> Literal["cosine", "inner_product", "l2"]: ...
    def count(self, filter: str | None = None) -> int: ...
    # For each vector, (D,) or (B, D), its min(k, matches) nearest rows.
    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        *,
        filter: str | None = None,
        columns: Sequence[str] | None = None,
        width: int | None = None,
    ) -> list[pa.RecordBatch]: ...
    # By BM25, which is in the column _score.
    def search_text(
        self,
        text: str,
        k: int,
        *,
        column: str = "text",
        filter: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.RecordBatch: ...
    # Both, fused by rank: _score is the sum of 1 / (60 + rank) over the best max(4 k, 50) of each.
    def search_hybrid(
        self,
        vector: NDArray[np.float32],
        text: str,
        k: int,
        *,
        column: str = "text",
        filter: str | None = None,
        columns: Sequence[str] | None = None,
        width: int | None = None,
    ) -> pa.RecordBatch: ...
    def batches(
        self, *, filter: str | None = None, columns: Sequence[str] | None = None
    ) -> pa.RecordBatchReader: ...
    # The file is replaced as a whole; how many rows were written.
    def export_parquet(
        self,
        path: str | PathLike[str],
        *,
        filter: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> int: ...

@final
class Store:
    # id: int64 or utf8, unique; vector: a fixed-size list of float32.
    @staticmethod
    def create(
        path: str | PathLike[str],
        schema: pa.Schema,
        *,
        metric: Literal["cosine", "inner_product", "l2"] = "cosine",
        id: str = "id",
        vector: str = "vector",
        durability: Literal["commit", "batch", "none"] = "commit",
        flush_bytes: int = 67108864,
        compaction: Literal["background", "explicit"] = "background",
    ) -> Store: ...
    @staticmethod
    def open(
        path: str | PathLike[str],
        *,
        read_only: bool = False,
        durability: Literal["commit", "batch", "none"] = "commit",
        flush_bytes: int = 67108864,
        compaction: Literal["background", "explicit"] = "background",
    ) -> Store: ...
    # Reads everything back and checks it, whether or not the store is open.
    @staticmethod
    def verify(path: str | PathLike[str]) -> Report: ...
    @property
    def path(self) -> str: ...
    @property
    def schema(self) -> pa.Schema: ...
    @property
    def metric(self) -> Literal["cosine", "inner_product", "l2"]: ...
    @property
    def id(self) -> str: ...
    @property
    def vector(self) -> str: ...
    @property
    def read_only(self) -> bool: ...
    # A batch, a table or whatever streams Arrow; one write, all of it or nothing. How many rows.
    def add(self, rows: pa.RecordBatch | pa.Table) -> int: ...
    def upsert(self, rows: pa.RecordBatch | pa.Table) -> int: ...
    # How many there were.
    def delete(self, ids: Sequence[int] | Sequence[str]) -> int: ...
    def delete_where(self, filter: str) -> int: ...
    # Rows in the order of the ids; ids that are not there are passed over.
    def get(self, ids: Sequence[int] | Sequence[str]) -> pa.RecordBatch: ...
    def snapshot(self) -> Snapshot: ...
    # Sees what another process has written since this was opened for reading.
    def refresh(self) -> None: ...
    def sync(self) -> None: ...
    def flush(self) -> None: ...
    # Joins segments that have become small or half dead; in the background that is done anyway.
    def optimize(self) -> None: ...
    # Everything as one segment, without deleted rows.
    def compact(self) -> None: ...
    # A graph over the segments, for approximate search; compact builds it anew.
    def create_index(self) -> None: ...
    # A store of its own in a new folder; restoring replaces all rows at once.
    def save_snapshot(self, path: str | PathLike[str]) -> None: ...
    def restore_snapshot(self, path: str | PathLike[str]) -> None: ...
    def stats(self) -> Stats: ...
    def let_go(self) -> None: ...
    def close(self) -> None: ...
