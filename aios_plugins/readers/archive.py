"""Archives of files."""

from __future__ import annotations

import errno
import io
import logging
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, ClassVar

from attrs import frozen

from aios_core.contracts import FileReader, TextSettings
from aios_core.contracts.reader import FileRow, OnProgress, unseen
from aios_core.errors import DataError
from aios_core.formats import has_reader, hidden, kinds_of, reader_of
from aios_core.registry import Registry
from aios_plugins.readers._unpacking import Unpacked, copied, unpacked

log = logging.getLogger(__name__)


@frozen
class Archive(FileReader):
    """A zip archive: every file inside that has a reader, sorted by name; hidden ones are none."""

    counts: ClassVar = "row"

    def rows(self, path: Path, on_progress: OnProgress = unseen) -> Iterator[FileRow]:
        """Those of each file; of a text, all of it, with its name as ``source``. In UTF-8."""
        number, settings = 0, TextSettings()
        for member, inner in _members(path, settings, on_progress):
            if inner.reader.plain:
                texts = inner.texts(settings)
                rows: Iterable[FileRow] = (
                    FileRow(0, {"text": text, "source": member}, None, where)
                    for where, text in texts
                )
            else:
                rows = inner.rows()
            for row in rows:
                number += 1
                yield row._replace(number=number)

    def records(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[FileRow]:
        """Those of each file that has columns; texts are passed over, and named in the log."""
        number, texts = 0, list[str]()
        for member, inner in _members(path, settings, on_progress):
            if inner.reader.plain:
                texts.append(member)
                continue
            for row in inner.records(settings):
                number += 1
                yield row._replace(number=number)
        if texts and not number:
            raise DataError(f"{path}: holds only texts, as {texts[0]!r}, which have no columns")
        if texts:
            log.warning("%s: without columns, so left out: %s", path, _some(texts))

    def texts(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[tuple[str, str]]:
        """Those of each file."""
        for _, inner in _members(path, settings, on_progress):
            yield from inner.texts(settings)

    example_name: ClassVar = "example.zip"

    def example(self) -> bytes:
        """Two documents."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo("1.txt"), "first")
            archive.writestr(zipfile.ZipInfo("2.txt"), "second")
        return file.getvalue()


def _members(
    path: Path, settings: TextSettings, on_progress: OnProgress
) -> Iterator[tuple[str, Unpacked]]:
    """Name and content of each file that has a reader, sorted by name, one at a time."""
    registry = Registry.discover(insist=False)
    with _sound(path):
        archive = zipfile.ZipFile(path)
    with archive:
        members = [
            member
            for member in archive.infolist()
            if not member.is_dir() and not hidden(PurePosixPath(member.filename))
        ]
        read = [m for m in members if has_reader(Path(m.filename), registry) and not _is_zip(m)]
        if not read:
            there = f"; there are {kinds_of(_names(members))}" if members else ""
            raise DataError(f"{path}: holds no file that has a reader{there}")
        if left := [member for member in members if member not in read]:
            log.warning("%s: left out, without a reader: %s", path, kinds_of(_names(left)))
        size = sum(member.file_size for member in read)
        if size > settings.max_bytes:
            raise DataError(
                f"{path}: unpacks to {size} bytes; expected at most {settings.max_bytes}"
                f"{settings.hint('max_bytes', 'says so')}"
            )
        for done, member in enumerate(sorted(read, key=lambda m: m.filename)):

            def write(file: IO[bytes], member: zipfile.ZipInfo = member) -> None:
                # ZipFile reads at most the declared size, so the sum above is a real limit.
                with _sound(path), archive.open(member) as source:
                    copied(source, file, member.file_size)

            shown = f"{path}[{member.filename}]"
            with unpacked(
                member.filename, shown, write, lambda name: reader_of(name, registry)
            ) as inner:
                yield member.filename, inner
            on_progress((done + 1) * 1000 // len(read) - done * 1000 // len(read))


def _is_zip(member: zipfile.ZipInfo) -> bool:
    return member.filename.lower().endswith(".zip")  # which could hold itself


def _names(members: list[zipfile.ZipInfo]) -> list[PurePosixPath]:
    return [PurePosixPath(member.filename) for member in members]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    """Say of an archive that cannot be read what is wrong with it."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: is not a sound zip archive: {error}") from error
    except (ValueError, OverflowError, struct.error) as error:  # of names, sizes and times
        raise DataError(f"{path}: is not a sound zip archive: {error}") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # of a place before the beginning, or beyond the end
            raise
        raise DataError(f"{path}: is not a sound zip archive: {error}") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted; unknown compression
        raise DataError(f"{path}: cannot be unpacked: {error}") from error
