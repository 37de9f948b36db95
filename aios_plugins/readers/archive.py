"""Archives of texts."""

from __future__ import annotations

import errno
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from aios_core.contracts import FileReader, TextSettings
from aios_core.contracts.reader import FileRow, OnProgress, unseen
from aios_core.errors import DataError
from aios_plugins.readers._text import decode


@frozen
class Archive(FileReader):
    """A zip archive: every ``.txt`` inside is a document, sorted by name."""

    def rows(self, path: Path, on_progress: OnProgress = unseen) -> Iterator[FileRow]:
        """Each document with ``text`` and ``source``, its name; in UTF-8."""
        documents = self.texts(path, TextSettings(), on_progress)
        for number, (where, text) in enumerate(documents, 1):
            source = where.removeprefix(f"{path}[").removesuffix("]")
            yield FileRow(number, {"text": text, "source": source}, None)

    def texts(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[tuple[str, str]]:
        """Each document."""
        try:
            with zipfile.ZipFile(path) as archive:
                members = [m for m in archive.infolist() if m.filename.lower().endswith(".txt")]
                size = sum(member.file_size for member in members)
                if size > settings.max_bytes:
                    raise DataError(
                        f"{path}: unpacks to {size} bytes; expected at most {settings.max_bytes}"
                        f"{settings.hint('max_bytes', 'says so')}"
                    )
                if not members:
                    raise DataError(f"{path}: holds no .txt file")
                for member in sorted(members, key=lambda m: m.filename):
                    # ZipFile reads at most the declared size, so the sum above is a real limit.
                    where = f"{path}[{member.filename}]"
                    yield where, decode(archive.read(member), where, settings)
                on_progress(1000)
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

    def example(self) -> bytes:
        """Two documents."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo("1.txt"), "first")
            archive.writestr(zipfile.ZipInfo("2.txt"), "second")
        return file.getvalue()
