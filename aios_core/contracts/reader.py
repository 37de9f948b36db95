"""Readers of files: rows and texts, whatever the kind of the file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from attrs import frozen

from aios_core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from aios_core.contracts.maker import Maker

OnProgress = Callable[[int], None]
"""Called with the fraction of a file, in thousandths, that has been read since."""


def unseen(_: int) -> None:
    """Nobody watches the progress."""


class FileRow(NamedTuple):
    """A row of a file."""

    number: int
    """Of its line, or of the row of a table, from 1 on."""
    values: dict[str, Any]
    """By column: what JSON has, times, and arrays of numbers."""
    maker: Maker | None
    """Who made the vector, where the file says so."""
    where: str | None = None
    """Where it is, where the number does not say it, as of a member of an archive."""


@frozen
class TextSettings:
    """How texts are taken from files."""

    key: str = "text"
    """Column, or key of an object, that the text is in."""
    encodings: tuple[str, ...] = ("utf-8",)
    """Of text: each file has the first one that reads all of it."""
    max_bytes: int = 1 << 32
    """Most that an archive or a compressed file may unpack to."""
    section: str = ""
    """Of a configuration that has these as ``key``, ``encoding`` and ``max_bytes``, for errors."""

    def hint(self, name: str, words: str) -> str:
        """The end of an error that says which key of the section would be right, if there is one.

        Args:
            name: of the key.
            words: what it does.
        """
        return f"; {self.section}.{name} {words}" if self.section else ""


class FileReader(ABC):
    """Reads files of one kind.

    Its registry name is the suffix of such files: ``jsonl`` reads ``.jsonl``, and ``tar-gz`` reads
    ``.tar.gz``; a file of another suffix is text, as ``txt`` reads it. A reader is built without
    values. Files are untrusted: nothing of them is run, sizes are checked before memory is taken,
    and whatever is wrong leaves as a `DataError` with file and line. A whole reader is in
    ``aios_core/scaffold/examples/reader.py``.
    """

    plain: ClassVar[bool] = False
    """Whether such a file is one text, of which commands that take many texts take the lines."""
    holds: ClassVar[Literal["rows", "file"]] = "rows"
    """Whether such a file holds rows, or, being compressed, one file of the kind that its name
    without the suffix says."""
    counts: ClassVar[Literal["line", "row"]] = "line"
    """What numbers of rows count."""

    @abstractmethod
    def rows(self, path: Path, on_progress: OnProgress = unseen) -> Iterator[FileRow]:
        """The rows of a file, each with ``text`` and what else it has.

        Args:
            path: the file.
            on_progress: see `OnProgress`.

        Raises:
            DataError: it is damaged or of another kind, or has no rows.
            OSError: it cannot be read.
        """

    def records(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[FileRow]:
        """The rows of a file as data sets take them: values by column, whatever the columns.

        Override it where rows are text in an encoding, or where memories have other rows.

        Args:
            path: the file.
            settings: which encodings are tried; the key does not matter.
            on_progress: see `OnProgress`.

        Raises:
            DataError: as for `rows`, and where the file has no columns.
            OSError: it cannot be read.
        """
        if self.plain:
            raise DataError(
                f"{path}: is text, which has no columns; expected .csv, .tsv, .json, .jsonl, "
                ".parquet or .arrow"
            )
        return self.rows(path, on_progress)

    def texts(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[tuple[str, str]]:
        """The documents of a file: of each where it is, for messages, and the text.

        Args:
            path: the file.
            settings: how they are taken from it.
            on_progress: see `OnProgress`.

        Raises:
            DataError: it is damaged or of another kind, or has no such texts.
            OSError: it cannot be read.
        """
        for row in self.records(path, settings, on_progress):
            text, where = row.values.get(settings.key), self.place(path, row)
            if not isinstance(text, str):
                got = type(text).__name__ if settings.key in row.values else "no such key"
                raise DataError(
                    f"{where}: expected a text under {settings.key!r}, got {got} among "
                    f"{sorted(row.values)}{settings.hint('key', 'names it')}"
                )
            if not writable(text):
                raise DataError(f"{where}: holds half of a surrogate pair, which is not text")
            yield where, text

    def schema(self, path: Path) -> pa.Schema | None:
        """The columns of a file that says them, metadata included; None of other kinds.

        Args:
            path: the file.

        Raises:
            DataError: it is damaged.
        """
        return None

    def where(self, path: Path, number: int) -> str:
        """A row of a file in a message.

        Args:
            path: the file.
            number: of the row.
        """
        return f"{path}: row {number}" if self.counts == "row" else f"{path}:{number}"

    def place(self, path: Path, row: FileRow) -> str:
        """Likewise, of a row that was read."""
        return row.where or self.where(path, row.number)

    @abstractmethod
    def example(self) -> bytes:
        """A small file with two rows, whose texts are ``first`` and ``second``."""

    example_name: ClassVar[str] = "example"
    """Of that file, for readers that look at the name."""


def writable(text: str) -> bool:
    """Whether UTF-8 can write a text: half of a surrogate pair, which JSON can say, it cannot."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)
