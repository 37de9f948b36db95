"""Where the bytes of a Parquet page lie: a reader of page headers, as far as our pages need it.

Headers are in Thrift's compact protocol; field numbers are those of parquet.thrift.
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import Any, Final

from aios_core.errors import ModelLoadError

MAX_HEADER: Final = 4096
"""Bytes that a page header may take; those of our pages take about 30."""

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _BINARY, _STRUCT = 1, 2, 3, 4, 5, 6, 8, 12
_DEPTH: Final = 4

_TYPE, _SIZE, _COMPRESSED, _DATA = 1, 2, 3, 5  # of PageHeader
_NUM_VALUES, _ENCODING = 1, 2  # of DataPageHeader
_DATA_PAGE, _PLAIN = 0, 0


class Page:
    """An uncompressed data page, and where its parts lie.

    Args:
        data: what holds the page.
        start: the offset of its header.

    Attributes:
        start: the same.
        body: offset of the body.
        end: offset behind the page.

    Raises:
        ModelLoadError: there is no such page.
    """

    def __init__(self, data: bytes | mmap, start: int) -> None:
        try:
            header, size = _struct(data[start : start + MAX_HEADER], 0, _DEPTH)
        except ModelLoadError as error:
            raise ModelLoadError(f"byte {start}: expected a page header: {error}") from None
        stored, detail = header.get(_COMPRESSED), header.get(_DATA)
        if header.get(_TYPE) != _DATA_PAGE or not isinstance(detail, dict):
            raise ModelLoadError(f"byte {start}: expected a data page")
        if not isinstance(stored, int) or stored < 0 or stored != header.get(_SIZE):
            raise ModelLoadError(f"byte {start}: expected an uncompressed page")
        self.start, self.body = start, start + size
        self.end = self.body + stored
        if self.end > len(data):
            raise ModelLoadError(f"byte {start}: the page ends beyond the file")
        self._single = (detail.get(_NUM_VALUES), detail.get(_ENCODING)) == (1, _PLAIN)

    def binary(self, data: bytes | mmap) -> tuple[int, int]:
        """Offset and size of the byte array in a page that holds one value and nothing else.

        Raises:
            ModelLoadError: the page holds something else.
        """
        size = int.from_bytes(data[self.body : self.body + 4], "little")
        if not self._single or self.body + 4 + size != self.end:
            raise ModelLoadError(f"byte {self.body}: expected one plain byte array")
        return self.body + 4, size


def walk(data: bytes | mmap, start: int, count: int) -> Iterator[Page]:
    """So many pages in a row.

    Raises:
        ModelLoadError: there are not so many.
    """
    for _ in range(count):
        page = Page(data, start)
        yield page
        start = page.end


def varint(value: int) -> bytes:
    """A non-negative integer, 7 bits a byte, the low ones first."""
    low = []
    while value > 127:
        low.append(value & 127 | 128)
        value >>= 7
    return bytes((*low, value))


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Such an integer, and the offset behind it.

    Raises:
        ModelLoadError: there is none.
    """
    value = 0
    for shift in range(0, 70, 7):
        byte, at = _byte(data, at)
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ModelLoadError("a number has more than 10 bytes")


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Fields of a struct by number, and the offset behind it; every field takes a byte or more."""
    fields: dict[int, Any] = {}
    number = 0
    while True:
        kind, at = _byte(data, at)
        if kind == 0:
            return fields, at
        if kind >> 4:
            number += kind >> 4
        else:
            number, at = _integer(data, at)
        fields[number], at = _value(data, at, kind & 15, depth)


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if kind == _BYTE:
        return _byte(data, at)
    if kind in (_I16, _I32, _I64):
        return _integer(data, at)
    if kind == _BINARY:
        size, at = read_varint(data, at)
        if at + size > len(data):
            raise ModelLoadError("it is truncated")
        return data[at : at + size], at + size
    if kind == _STRUCT and depth:
        return _struct(data, at, depth - 1)
    raise ModelLoadError(f"it has a field of type {kind}, nested {_DEPTH - depth} deep")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag integer."""
    value, at = read_varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _byte(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise ModelLoadError("it is truncated")
    return data[at], at + 1
