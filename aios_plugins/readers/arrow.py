"""Arrow IPC: files, which Feather is too, and streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
from attrs import frozen

from aios_core.contracts import FileReader, TextSettings
from aios_core.contracts.reader import FileRow, OnProgress, unseen
from aios_plugins.readers._arrow import checked, known, maker_of, rows_of, sound, texts_of


@frozen
class Arrow(FileReader):
    """Its columns; who made the vectors is in the metadata of the schema."""

    counts: ClassVar = "row"

    def rows(self, path: Path, on_progress: OnProgress = unseen) -> Iterator[FileRow]:
        """Each row; a vector is an array."""
        with _open(path) as (schema, batches):
            maker_of(path, checked(path, schema))
            yield from rows_of(path, batches, _total(batches), on_progress)

    def texts(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[tuple[str, str]]:
        """A column."""
        with _open(path) as (schema, batches):
            column = known(path, schema, settings)
            columns = (batch.select([column]) for batch in batches)
            yield from texts_of(path, columns, _total(batches), settings, on_progress)

    def schema(self, path: Path) -> pa.Schema:
        """Its columns, each once."""
        with _open(path) as (schema, _):
            return checked(path, schema)

    def example(self) -> bytes:
        """One column."""
        table = pa.table({"text": ["first", "second"]})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())


@contextmanager
def _open(path: Path) -> Iterator[tuple[pa.Schema, list[pa.RecordBatch]]]:
    """Columns and batches of a file, mapped: no value is read before it is asked for."""
    with sound(path, "Arrow IPC"), pa.memory_map(str(path)) as mapped:
        if mapped.read(6) == b"ARROW1":
            with pa.ipc.open_file(mapped) as file:
                batches = [file.get_batch(i) for i in range(file.num_record_batches)]
                yield file.schema, batches
        else:  # as the data sets of Hugging Face are
            mapped.seek(0)
            with pa.ipc.open_stream(mapped) as stream:
                yield stream.schema, list(stream)


def _total(batches: list[pa.RecordBatch]) -> int:
    return sum(batch.num_rows for batch in batches)
