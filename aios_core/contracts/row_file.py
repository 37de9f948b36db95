"""Rows as they were read, in memory or in a nameless file, so that nothing reads them again."""

from __future__ import annotations

import json
import tempfile
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from aios_core.contracts.rows import Control, Row, Segment, Source

if TYPE_CHECKING:
    from aios_core.contracts.rows import TextContent

_IN_MEMORY: Final = 1 << 26
"""Bytes of text that are kept in memory; what is more goes to a temporary file."""
_SEGMENTED: Final = 1 << 63
"""Set in the length of a row that is more than one text."""


class RowFile:
    """Rows that are written once and read as often as is needed.

    Where they are from is kept of chats alone.
    """

    def __init__(self) -> None:
        self._file: Any = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._end, self._moved = 0, False

    def write(self, row: Row) -> None:
        """Keep a row whose segments are all text.

        Raises:
            UnicodeEncodeError: UTF-8 cannot write it.
        """
        size, data = encoded(row)
        if self._moved:  # at each row, it would empty the buffer of a file
            self._file.seek(self._end)
            self._moved = False
        self._file.write(size.to_bytes(8, "little") + data)
        self._end += 8 + len(data)

    def __iter__(self) -> Iterator[Row]:
        """Every row, in the order in which they were written."""
        place = 0
        while place < self._end:
            self._moved = True
            self._file.seek(place)  # another reader may have moved on
            size = int.from_bytes(self._file.read(8), "little")
            length = size & ~_SEGMENTED
            data = self._file.read(length)
            yield _decoded(data) if size & _SEGMENTED else Row.of(data.decode())
            place += 8 + length


def encoded(row: Row) -> tuple[int, bytes]:
    """A row as bytes, and their number, which says what they are.

    Raises:
        UnicodeEncodeError: UTF-8 cannot write it.
    """
    if (text := row.text) is not None and row.source is None:
        data = text.encode()
        return len(data), data
    plain: Any = [[s.name, s.role, s.modality, _plain(s.content)] for s in row.segments]
    more: dict[str, Any] = {}
    if row.source is not None:
        more["source"] = [row.source.name, row.source.share]
    if row.chat:  # which may still be refused, with where it is from
        more["where"] = row.where
    if more:
        plain = {("turns" if row.chat else "segments"): plain, **more}
    data = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
    return len(data) | _SEGMENTED, data


def _decoded(data: bytes) -> Row:
    plain = json.loads(data)
    more = plain if isinstance(plain, dict) else {"segments": plain}
    chat = "turns" in more
    segments = tuple(
        Segment(name, _content(content), role, modality)
        for name, role, modality, content in more["turns" if chat else "segments"]
    )
    source = Source(*more["source"]) if "source" in more else None
    return Row(segments, chat=chat, where=more.get("where", ""), source=source)


def _plain(content: TextContent) -> Any:
    """A content as JSON has it."""
    if isinstance(content, str):
        return content
    return [{"control": p.text} if isinstance(p, Control) else p for p in content]


def _content(plain: Any) -> TextContent:
    if isinstance(plain, str):
        return plain
    return tuple(Control(p["control"]) if isinstance(p, dict) else p for p in plain)
