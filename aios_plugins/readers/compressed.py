"""Compressed files, each of which is one file of another kind: ``train.csv.gz``."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, ClassVar

from attrs import frozen

from aios_core.contracts import FileReader, TextSettings
from aios_core.contracts.reader import FileRow, OnProgress, unseen
from aios_core.errors import DataError
from aios_core.formats import reader_of
from aios_plugins.readers._unpacking import Unpacked, copied, unpacked


@frozen
class Compressed(FileReader):
    """Unpacks to a file of its own, which goes with the reading; what is in it says its name."""

    holds: ClassVar = "file"
    suffix: ClassVar[str]

    @abstractmethod
    def opened(self, path: Path) -> IO[bytes]:
        """A stream of what is in a file."""

    def rows(self, path: Path, on_progress: OnProgress = unseen) -> Iterator[FileRow]:
        """Those of the file that is inside."""
        with self._unpacked(path, TextSettings()) as inner:
            yield from inner.rows(on_progress)

    def records(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[FileRow]:
        """Those of the file that is inside."""
        with self._unpacked(path, settings) as inner:
            yield from inner.records(settings, on_progress)

    def texts(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[tuple[str, str]]:
        """Those of the file that is inside."""
        with self._unpacked(path, settings) as inner:
            yield from inner.texts(settings, on_progress)

    def _unpacked(self, path: Path, settings: TextSettings) -> AbstractContextManager[Unpacked]:
        def write(file: IO[bytes]) -> None:
            try:
                with self.opened(path) as source:
                    if copied(source, file, settings.max_bytes):
                        return
            except (zlib.error, lzma.LZMAError, EOFError, OSError) as error:
                if getattr(error, "errno", None) is not None:  # of the disk, not of the content
                    raise
                raise DataError(f"{path}: is not a sound {self.suffix} file: {error}") from error
            raise DataError(
                f"{path}: unpacks to more than {settings.max_bytes} bytes; expected at most so "
                f"many{settings.hint('max_bytes', 'says so')}"
            )

        inner = path.name.rpartition(".")[0]
        return unpacked(inner, str(path), write, reader_of)


@frozen
class Gzip(Compressed):
    """gzip."""

    suffix: ClassVar = ".gz"
    example_name: ClassVar = "example.jsonl.gz"

    def opened(self, path: Path) -> IO[bytes]:
        """All members of it."""
        return io.BufferedReader(gzip.open(path))

    def example(self) -> bytes:
        """JSON lines."""
        return gzip.compress(_EXAMPLE, mtime=0)


@frozen
class Bzip2(Compressed):
    """bzip2."""

    suffix: ClassVar = ".bz2"
    example_name: ClassVar = "example.jsonl.bz2"

    def opened(self, path: Path) -> IO[bytes]:
        """All streams of it."""
        return bz2.open(path)

    def example(self) -> bytes:
        """JSON lines."""
        return bz2.compress(_EXAMPLE)


@frozen
class Xz(Compressed):
    """xz."""

    suffix: ClassVar = ".xz"
    example_name: ClassVar = "example.jsonl.xz"

    def opened(self, path: Path) -> IO[bytes]:
        """All streams of it."""
        return lzma.open(path, format=lzma.FORMAT_XZ)

    def example(self) -> bytes:
        """JSON lines."""
        return lzma.compress(_EXAMPLE)


@frozen
class Zstandard(Compressed):
    """Zstandard, by Arrow."""

    suffix: ClassVar = ".zst"
    example_name: ClassVar = "example.jsonl.zst"

    def opened(self, path: Path) -> IO[bytes]:
        """All frames of it."""
        import pyarrow as pa

        file = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        return io.BufferedReader(file)

    def example(self) -> bytes:
        """JSON lines."""
        import pyarrow as pa

        return bytes(pa.Codec("zstd").compress(_EXAMPLE, asbytes=True))


_EXAMPLE = b'{"text": "first"}\n{"text": "second"}\n'
