"""Rows as they were read, in memory or in a nameless file, so that nothing reads them again."""

from __future__ import annotations

import hashlib
import json
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from attrs import evolve, frozen

from aios_core.contracts.dataset import SPLITS, Dataset, Split, border, cut
from aios_core.contracts.rows import TEXT, Control, Row, Segment, is_content
from aios_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aios_core.contracts.rows import TextContent

Part = Literal[Split, "whole"]
PARTS: Final[tuple[Part, ...]] = (*SPLITS, "whole")

_IN_MEMORY: Final = 1 << 26
"""Bytes of text that are kept in memory; what is more goes to a temporary file."""
_SEGMENTED: Final = 1 << 63
"""Set in the length of a row that is more than one text."""


@frozen
class Content:
    """What a split holds."""

    sha256: str
    """Hex digest of the rows and of where each of them ends."""
    num_bytes: int
    """Of what is to be learned in them, as UTF-8."""


Contents = Mapping[str, Content]
"""By part, what it holds."""


class Spool:
    """Rows of a data set, read once.

    Args:
        dataset: is read here, and not again.
        name: of the data set in messages.

    Raises:
        DataError: a row is not what a network can learn from.
    """

    def __init__(self, dataset: Dataset, name: str) -> None:
        self._file: Any = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._name, self._contents = name, dict[str, Content]()
        # Where the validation split begins: a character of documents, or else a place.
        self._border: int | None = None
        self._split = 0
        if type(dataset).rows is Dataset.rows:
            self._border = border(self._write(map(_row, dataset.documents())))
        else:
            for split in SPLITS:
                self._split = self._file.tell() if split == "validation" else 0
                self._write(dataset.rows(split))
        self._end = self._file.tell()

    @property
    def contents(self) -> Contents:
        """What each split holds, and the ``"whole"``."""
        if not self._contents:
            for part in PARTS:
                counter = _Counter()
                for row in self.rows(part):
                    counter.add(row)
                self._contents[part] = counter.content
        return self._contents

    def texts(self, part: Part) -> Iterator[str]:
        """Of each row all that is text in it, without what is absent."""
        return (row.joined("given", "target") for row in self.rows(part))

    def rows(self, part: Part) -> Iterator[Row]:
        """Rows of a split, or all of them; none is empty."""
        if self._border is None:
            start = self._split if part == "validation" else 0
            return self._read(start, self._split if part == "train" else self._end)
        texts = (row.segments[0].content for row in self._read(0, self._end))
        kept = filter(None, texts) if part == "whole" else cut(texts, self._border, part)
        return map(Row.of, kept)

    def _read(self, start: int, end: int) -> Iterator[Row]:
        place = start
        while place < end:
            self._file.seek(place)  # another reader may have moved on
            size = int.from_bytes(self._file.read(8), "little")
            length = size & ~_SEGMENTED
            data = self._file.read(length)
            yield _decoded(data) if size & _SEGMENTED else Row.of(data.decode())
            place += 8 + length

    def _write(self, rows: Iterable[Row]) -> int:
        """Keep rows; returns the characters of those that are one text."""
        characters = 0
        for number, row in enumerate(rows, 1):
            try:
                size, data = _encoded(self._checked(row, number))
            except UnicodeEncodeError as error:
                raise DataError(f"{self._name}: row {number}: cannot be UTF-8: {error}") from error
            self._file.write(size.to_bytes(8, "little") + data)
            characters += len(row.text or "")
        return characters

    def _checked(self, row: object, number: int) -> Row:
        """A row that a network can learn from.

        Raises:
            DataError: it is none, or has no target.
        """
        where = f"{self._name}: row {number}"
        if not isinstance(row, Row):
            raise DataError(f"{where}: expected a str or a Row, got {type(row).__name__}")
        for segment in row.segments:
            if segment.modality != TEXT:
                raise DataError(
                    f"{where}: segment {segment.name!r} is of the modality {segment.modality!r}; "
                    f"expected {TEXT!r}"
                )
            if not is_content(segment.content):
                raise DataError(
                    f"{where}: segment {segment.name!r}: expected a str, or a tuple of str and "
                    f"Control, got {type(segment.content).__name__}"
                )
        if row.text is None and not row.joined("target"):
            roles = ", ".join(f"{s.name} ({s.role})" for s in row.segments)
            raise DataError(f"{where}: expected a target that is not empty, got {roles}")
        return row


class _Counter:
    """Digest and size of rows, one after the other."""

    def __init__(self) -> None:
        self._digest, self._num_bytes = hashlib.sha256(), 0

    def add(self, row: Row) -> None:
        # Wherever they are from, the same rows are the same.
        size, data = _encoded(evolve(row, where="") if row.chat else row)
        # With its length, so that it counts where a row ends.
        self._digest.update(size.to_bytes(8, "little"))
        self._digest.update(data)
        self._num_bytes += len(row.joined("target").encode())

    @property
    def content(self) -> Content:
        return Content(self._digest.hexdigest(), self._num_bytes)


def _row(document: object) -> Any:
    """The row of a document; what is no text is refused with its number, like any other row."""
    return Row.of(document) if isinstance(document, str) else document


def _encoded(row: Row) -> tuple[int, bytes]:
    """A row as bytes, and their number, which says what they are."""
    if (text := row.text) is not None:
        data = text.encode()
        return len(data), data
    plain: Any = [[s.name, s.role, s.modality, _plain(s.content)] for s in row.segments]
    if row.chat:  # which may still be refused, with where it is from
        plain = {"turns": plain, "where": row.where}
    data = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
    return len(data) | _SEGMENTED, data


def _decoded(data: bytes) -> Row:
    plain = json.loads(data)
    chat = isinstance(plain, dict)
    segments = tuple(
        Segment(name, _content(content), role, modality)
        for name, role, modality, content in (plain["turns"] if chat else plain)
    )
    return Row(segments, chat=chat, where=plain["where"] if chat else "")


def _plain(content: TextContent) -> Any:
    """A content as JSON has it."""
    if isinstance(content, str):
        return content
    return [{"control": p.text} if isinstance(p, Control) else p for p in content]


def _content(plain: Any) -> TextContent:
    if isinstance(plain, str):
        return plain
    return tuple(Control(p["control"]) if isinstance(p, dict) else p for p in plain)
