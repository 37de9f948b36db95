"""A row of a weight file: its columns, and how it is written so that its bytes lie aligned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from aios_plugins.tensor_formats.parquet.layout import ALIGNMENT
from aios_plugins.tensor_formats.parquet.pages import Page, varint, walk

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in (
            ("name", pa.string()),
            ("part", pa.string()),
            ("chunk", pa.int32()),
            ("shape", pa.list_(pa.field("element", pa.int64(), nullable=False))),
            ("dtype", pa.string()),
            ("bits", pa.int32()),
            ("group_size", pa.int64()),
            ("scheme", pa.string()),
            ("method", pa.string()),
            ("layout", pa.string()),
            ("param_fmt", pa.string()),
            ("payload_xxh3", pa.string()),
            ("params_xxh3", pa.string()),
            ("padding", pa.binary()),
            ("payload", pa.binary()),
            ("params_padding", pa.binary()),
            ("params", pa.binary()),
        )
    ]
)
"""The columns of a file. The paddings are there so that what follows them is aligned."""

_MAGIC: Final = 4
"""Bytes of every Parquet file before its first page."""


class RowWriter:
    """Writes a Parquet file of one row a row group, every page uncompressed and plain.

    Args:
        path: a new file.
    """

    def __init__(self, path: Path) -> None:
        self._sink = pa.OSFile(str(path), "wb")
        try:
            self._writer = _parquet(self._sink)
        except BaseException:
            self._sink.close()
            raise

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return int(self._sink.tell())

    def write(self, row: Mapping[str, Any], payload: pa.Buffer, params: pa.Buffer) -> list[int]:
        """Append a row.

        Args:
            row: all columns but the last four.
            payload: at most 2^31 - 68 bytes.
            params: as many at most.

        Returns:
            The offsets of the payload and of the parameters in the file.
        """
        bare = {**row, "padding": bytes(ALIGNMENT), "params_padding": bytes(ALIGNMENT)}
        pages = _pages(bare)
        *_, front, _, behind, _ = pages
        # Headers say how long a page is in 7 bits a byte, twice; paddings always take two bytes.
        at = [max(self.size, _MAGIC) + front.end - _MAGIC, behind.end - behind.start]
        offsets, paddings = [], []
        for page, blob in ((pages[-3], payload), (pages[-1], params)):
            gap = at.pop(0)
            start = gap + _header(page, blob.size) + 4
            padding = -start % ALIGNMENT
            paddings.append(bytes(ALIGNMENT + padding))
            offsets.append(start + padding)
            if at:
                at[0] += start + padding + blob.size
        table = _table(
            {**row, "padding": paddings[0], "params_padding": paddings[1]}, payload, params
        )
        self._writer.write_table(table)
        return offsets

    def close(self, metadata: Mapping[bytes, bytes]) -> None:
        """Write the footer.

        Args:
            metadata: keys and values that it shall hold, in their order.
        """
        self._writer.add_key_value_metadata(metadata)
        self._writer.close()
        self._sink.close()

    def abandon(self) -> None:
        """Close the file as it is, which is no Parquet file unless `close` came before."""
        try:
            self._writer.close()
        finally:
            self._writer.is_open = False  # or it tries again when it is collected
            self._sink.close()


def _header(page: Page, size: int) -> int:
    """Bytes of a page's header when it holds so many bytes instead of none."""
    return page.body - page.start + 2 * (len(varint(2 * (4 + size))) - 1)


def _pages(row: Mapping[str, Any]) -> list[Page]:
    """The pages of a row without payload and parameters, at the beginning of a file."""
    sink = pa.BufferOutputStream()
    empty = pa.py_buffer(b"")
    with _parquet(sink) as writer:
        writer.write_table(_table(row, empty, empty))
    return list(walk(sink.getvalue().to_pybytes(), _MAGIC, len(SCHEMA)))


def _parquet(sink: Any) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink,
        SCHEMA,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
        data_page_version="1.0",
    )


def _table(row: Mapping[str, Any], payload: pa.Buffer, params: pa.Buffer) -> pa.Table:
    blobs = {"payload": payload, "params": params}
    columns = [
        _binary(blobs[field.name])
        if field.name in blobs
        else pa.array([row[field.name]], field.type)
        for field in SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _binary(blob: pa.Buffer) -> pa.BinaryArray:
    """One value, whose bytes are not copied."""
    offsets = pa.array([0, blob.size], pa.int32()).buffers()[1]
    return pa.BinaryArray.from_buffers(pa.binary(), 1, [None, offsets, blob])
