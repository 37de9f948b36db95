"""Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from attrs import frozen

from aios_core.contracts import FileReader, TextSettings
from aios_core.contracts.reader import FileRow, OnProgress, unseen
from aios_plugins.readers._arrow import checked, known, maker_of, rows_of, sound, texts_of

_ROWS = 1024
"""That are read at once."""


@frozen
class Parquet(FileReader):
    """Its columns; who made the vectors is in the metadata of the schema."""

    counts: ClassVar = "row"

    def rows(self, path: Path, on_progress: OnProgress = unseen) -> Iterator[FileRow]:
        """Each row; a vector is an array."""
        maker_of(path, self.schema(path))
        with sound(path, "Parquet"), pq.ParquetFile(path) as file:
            total = file.metadata.num_rows
            yield from rows_of(path, file.iter_batches(_ROWS), total, on_progress)

    def texts(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[tuple[str, str]]:
        """A column."""
        with sound(path, "Parquet"), pq.ParquetFile(path, memory_map=True) as file:
            columns = [known(path, file.schema_arrow, settings)]
            total, batches = file.metadata.num_rows, file.iter_batches(_ROWS, columns=columns)
            yield from texts_of(path, batches, total, settings, on_progress)

    def schema(self, path: Path) -> pa.Schema:
        """Its columns, each once."""
        with sound(path, "Parquet"):
            return checked(path, pq.read_schema(path))

    def example(self) -> bytes:
        """One column."""
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"text": ["first", "second"]}), sink)
        return bytes(sink.getvalue())
