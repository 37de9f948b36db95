"""Files in files: unpacked one by one, read by the reader of their own suffix, and gone again."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from attrs import frozen

from aios_core.contracts.reader import unseen
from aios_core.errors import DataError

if TYPE_CHECKING:
    from aios_core.contracts import FileReader, TextSettings
    from aios_core.contracts.reader import FileRow, OnProgress

_BLOCK: Final = 1 << 20
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9.]")


@frozen
class Unpacked:
    """A file that was in another one."""

    reader: FileReader
    path: Path
    """Where it is for now."""
    name: str
    """What messages call it."""

    def rows(self, on_progress: OnProgress = unseen) -> Iterator[FileRow]:
        """Its rows, as memories take them."""
        with self._named():
            for row in self.reader.rows(self.path, on_progress):
                yield row._replace(where=self._of(row))

    def records(
        self, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[FileRow]:
        """Its rows, as data sets take them."""
        with self._named():
            for row in self.reader.records(self.path, settings, on_progress):
                yield row._replace(where=self._of(row))

    def texts(
        self, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[tuple[str, str]]:
        """Its documents."""
        with self._named():
            for where, text in self.reader.texts(self.path, settings, on_progress):
                yield where.replace(str(self.path), self.name), text

    def _of(self, row: FileRow) -> str:
        return self.reader.place(self.path, row).replace(str(self.path), self.name)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Let errors name what the user has, and not where it is for now."""
        try:
            yield
        except DataError as error:
            message = str(error).replace(str(self.path), self.name)
            raise DataError(message) from error.__cause__


@contextmanager
def unpacked(
    name: str,
    shown: str,
    write: Callable[[IO[bytes]], None],
    reader_of: Callable[[Path], FileReader],
) -> Iterator[Unpacked]:
    """A file of its own for what is in another one, as long as the block lasts.

    Args:
        name: of the file inside; only its suffixes are taken, so it names no place.
        shown: what messages call it.
        write: writes it.
        reader_of: gives the reader of a name.

    Raises:
        DataError: there is no room for it.
    """
    reader = reader_of(Path(name))
    suffixes = "".join(PurePosixPath(name).suffixes)[-32:]
    with tempfile.TemporaryDirectory(prefix="aios-unpacked-") as folder:
        path = Path(folder) / f"part{_UNUSUAL.sub('', suffixes)}"
        try:
            with path.open("wb") as file:
                write(file)
        except OSError as error:
            if error.filename != str(path) and error.errno is None:
                raise  # of what is unpacked
            raise DataError(f"{shown}: cannot be unpacked: {error.strerror or error}") from error
        yield Unpacked(reader, path, shown)


def copied(source: IO[bytes], target: IO[bytes], most: int) -> bool:
    """Copy all of a stream, if it has so many bytes at most; says whether it has.

    Args:
        source: is read until its end, or beyond `most`.
        target: is written.
        most: bytes.
    """
    left = most
    while block := source.read(_BLOCK):
        left -= len(block)
        if left < 0:
            return False
        target.write(block)
    return True
