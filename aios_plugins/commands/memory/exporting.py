"""Stores as files, which `aios_plugins.commands.memory.importing` reads again as they were.

Who made the vectors goes along: in the schema of Parquet, and in each line of JSON beside its
vector. Parquet keeps the whole schema and the metric, so that an empty store survives too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from aios_core.contracts.maker import MADE_BY, Maker
from aios_core.contracts.records import missing_column
from aios_core.errors import StorageError
from aios_core.files import new_file
from aios_plugins.commands.memory.surveying import METRIC

if TYPE_CHECKING:
    from aios_core.contracts import VectorStore


def export_file(
    store: VectorStore,
    path: Path,
    *,
    filter: str | None = None,
    columns: Sequence[str] = (),
    overwrite: bool = False,
    on_progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Write rows to a file, which appears as a whole; returns how many.

    Args:
        store: read only.
        path: ``.parquet``, or ``.jsonl`` with an object a line.
        filter: only rows that it chooses.
        columns: which, and in which order; none: all, the vector included.
        overwrite: whether a file that is there is replaced.
        on_progress: called with how many rows more have been written.

    Raises:
        StorageError: the suffix is another one, the file is there, a column is not in the store,
            or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".jsonl"):
        raise StorageError(f"{path}: expected a name that ends with .parquet or .jsonl")
    if path.exists() and not overwrite:
        raise StorageError(f"{path} is there already; expected a new file, or `overwrite`")
    chosen, known, count = list(dict.fromkeys(columns or store.schema.names)), store.schema.names, 0
    if unknown := [name for name in chosen if name not in known]:
        raise missing_column(unknown[0], known)
    maker, said = None, {METRIC: store.metric.encode()}
    if "vector" in chosen:
        maker, said = Maker.read(store.schema), {**(store.schema.metadata or {}), **said}
    schema = pa.schema([store.schema.field(name) for name in chosen], said)
    try:
        with (
            new_file(path) as temporary,
            temporary.open("wb") as file,
            _parquet(file, schema) if suffix == ".parquet" else nullcontext() as writer,
        ):
            for batch in store.to_batches(columns=chosen, filter=filter):
                if writer is not None:
                    writer.write_batch(batch.replace_schema_metadata(schema.metadata))
                else:
                    _lines(file, batch, maker)
                count += batch.num_rows
                on_progress(batch.num_rows)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error
    return count


@contextmanager
def _parquet(file: IO[bytes], schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A writer that is done with when the block ends, and with an exception writes no more."""
    writer = pq.ParquetWriter(file, schema)
    try:
        yield writer
        writer.close()
    finally:
        writer.is_open = False  # or it tries again when it is collected


def _lines(file: IO[bytes], batch: pa.RecordBatch, maker: Maker | None) -> None:
    said = {} if maker is None else {MADE_BY: maker.plain()}
    for row in batch.to_pylist():
        kept = {key: value for key, value in row.items() if value is not None} | said
        file.write((json.dumps(kept, ensure_ascii=False) + "\n").encode())
