"""Stores as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from aios_core.errors import StorageError
from aios_core.files import new_file

if TYPE_CHECKING:
    from aios_core.contracts import VectorStore


def export_file(
    store: VectorStore,
    path: Path,
    *,
    filter: str | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> int:
    """Write rows to a file, which appears or is replaced as a whole; returns how many.

    Args:
        store: read only.
        path: ``.parquet``, or ``.jsonl`` with an object a line.
        filter: only rows that it chooses.
        told: called with how many rows more have been written.

    Raises:
        StorageError: the suffix is another one, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".jsonl"):
        raise StorageError(f"{path}: want a name that ends with .parquet or .jsonl")
    count = 0
    try:
        with new_file(path) as temporary, temporary.open("wb") as file:
            writer = pq.ParquetWriter(file, store.schema) if suffix == ".parquet" else None
            for batch in store.to_batches(filter=filter):
                if writer is not None:
                    writer.write_batch(batch)
                else:
                    _lines(file, batch)
                count += batch.num_rows
                told(batch.num_rows)
            if writer is not None:
                writer.close()
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error
    return count


def _lines(file: IO[bytes], batch: pa.RecordBatch) -> None:
    for row in batch.to_pylist():
        kept = {key: value for key, value in row.items() if value is not None}
        file.write((json.dumps(kept, ensure_ascii=False) + "\n").encode())
