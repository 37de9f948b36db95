"""Texts from the user's own files."""

from __future__ import annotations

import glob
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from attrs import Attribute, field, frozen, validators

from aios_core.contracts import Dataset
from aios_core.errors import DataError


@frozen
class File(Dataset):
    """Text files, JSON lines, or zip archives of text files, told apart by their suffix.

    ``.jsonl``: every line is an object, one document a line. ``.zip``: every ``.txt`` inside is a
    document, sorted by name. Anything else is one document.
    """

    path: Path | tuple[Path, ...] = field(
        validator=validators.or_(validators.instance_of(Path), validators.min_len(1))
    )
    """One or more files or glob patterns (``texts/**/*.txt``), relative to the folder of
    the configuration; files keep this order, those of one pattern are sorted."""
    key: str = field(default="text", validator=validators.min_len(1))
    """Where the text is in a line of ``.jsonl``."""
    encoding: str = field(default="utf-8")
    """Of the text; a byte that it does not allow is an error and never replaced."""
    max_bytes: int = field(default=1 << 32, validator=[validators.gt(0), validators.le(1 << 50)])
    """Most bytes that one archive may unpack to; checked before anything is unpacked."""

    @encoding.validator
    def _known(self, attribute: Attribute[str], value: str) -> None:
        try:
            " ".encode(value)
        except LookupError:
            raise ValueError(f"want a text encoding such as 'utf-8', got {value!r}") from None

    def documents(self) -> Iterator[str]:
        """Every document, file by file.

        Raises:
            DataError: a file is missing, is not text, or is not what its suffix says.
        """
        for path in self._files():
            try:
                match path.suffix.lower():
                    case ".jsonl":
                        yield from self._lines(path)
                    case ".zip":
                        yield from self._members(path)
                    case _:
                        yield self._decode(path.read_bytes(), str(path))
            except OSError as error:
                raise DataError(f"{path}: cannot be read: {error.strerror}") from error

    def files(self) -> tuple[Path, ...]:
        """Every file, in the order of its documents.

        Raises:
            DataError: one is missing.
        """
        return tuple(self._files())

    def _files(self) -> Iterator[Path]:
        for path in (self.path,) if isinstance(self.path, Path) else self.path:
            pattern = str(path)
            if path.is_file():  # also where its name looks like a pattern
                yield path
            elif path.is_dir():
                raise DataError(f"{path}: is a folder; want files, as in '{path}/**/*.txt'")
            elif not glob.has_magic(pattern):
                raise DataError(f"{path}: no such file; want a file or a pattern of files")
            else:
                # Path.glob refuses absolute patterns.
                found = map(Path, sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207
                files = [one for one in found if one.is_file()]
                if not files:
                    raise DataError(f"{path}: no file matches this pattern")
                yield from files

    def _lines(self, path: Path) -> Iterator[str]:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{path}:{number}"
                if not line.strip():
                    continue
                try:
                    record = json.loads(self._decode(line, where))
                except (ValueError, RecursionError) as error:
                    raise DataError(f"{where}: is not JSON: {error}") from error
                text = record.get(self.key) if isinstance(record, dict) else None
                if not isinstance(text, str):
                    got = sorted(record) if isinstance(record, dict) else type(record).__name__
                    raise DataError(
                        f"{where}: want an object with text under {self.key!r}, got {got}; "
                        "dataset.key names it"
                    )
                if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
                    raise DataError(f"{where}: holds half of a surrogate pair, which is no text")
                yield text

    def _members(self, path: Path) -> Iterator[str]:
        try:
            with zipfile.ZipFile(path) as archive:
                members = [m for m in archive.infolist() if m.filename.lower().endswith(".txt")]
                size = sum(member.file_size for member in members)
                if size > self.max_bytes:
                    raise DataError(
                        f"{path}: unpacks to {size} bytes, more than dataset.max_bytes = "
                        f"{self.max_bytes}"
                    )
                if not members:
                    raise DataError(f"{path}: holds no .txt file")
                for member in sorted(members, key=lambda m: m.filename):
                    # ZipFile reads at most the declared size, so the sum above is a real limit.
                    yield self._decode(archive.read(member), f"{path}[{member.filename}]")
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DataError(f"{path}: is not a sound zip archive: {error}") from error
        except (RuntimeError, NotImplementedError) as error:  # encrypted; unknown compression
            raise DataError(f"{path}: cannot be unpacked: {error}") from error

    def _decode(self, data: bytes, where: str) -> str:
        try:
            return data.decode(self.encoding)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{where}: byte {error.start} (0x{data[error.start]:02x}) is not {self.encoding}: "
                f"{error.reason}; dataset.encoding names another encoding"
            ) from error
