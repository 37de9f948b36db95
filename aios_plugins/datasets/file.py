"""Texts from the user's own files."""

from __future__ import annotations

import codecs
import glob
import io
import json
import logging
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen, validators

from aios_core.contracts import Dataset
from aios_core.errors import DataError

log = logging.getLogger(__name__)


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
    encoding: str | tuple[str, ...] = field(default="utf-8")
    """Of the text; of several, each file has the first one that reads all of it. A byte order mark
    goes before any; a byte that no encoding allows is an error and never replaced."""
    max_bytes: int = field(default=1 << 32, validator=[validators.gt(0), validators.le(1 << 50)])
    """Most bytes that one archive may unpack to; checked before anything is unpacked."""

    @encoding.validator
    def _known(self, attribute: Attribute[Any], value: str | tuple[str, ...]) -> None:
        if not value:
            raise ValueError("expected a text encoding such as 'utf-8', got none")
        for one in self._encodings:
            try:
                " ".encode(one)
            except LookupError:
                raise ValueError(f"expected a text encoding such as 'utf-8', got {one!r}") from None

    @property
    def _encodings(self) -> tuple[str, ...]:
        return (self.encoding,) if isinstance(self.encoding, str) else self.encoding

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
                raise DataError(f"{path}: is a folder; expected files, as in '{path}/**/*.txt'")
            elif not glob.has_magic(pattern):
                parts = [part for part in path.parts if part.startswith(("~", "$"))]
                hint = f"; {parts[0]!r} in it is not replaced" if parts else ""
                raise DataError(
                    f"{path}: no such file; expected a file or a pattern of files{hint}"
                )
            else:
                # Path.glob refuses absolute patterns.
                found = map(Path, sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207
                files = [one for one in found if one.is_file()]
                if not files:
                    raise DataError(f"{path}: no file matches this pattern")
                yield from files

    def _lines(self, path: Path) -> Iterator[str]:
        encoding = self._encoding(path)
        with path.open("rb") as file:
            wide = codecs.lookup(encoding).name.startswith(
                ("utf-16", "utf-32")
            )  # whose lines end in several bytes
            lines = io.BytesIO(self._decode(file.read(), str(path)).encode()) if wide else file
            encoding = "utf-8" if wide else encoding
            for number, line in enumerate(lines, 1):
                where = f"{path}:{number}"
                if not line.strip():
                    continue
                try:
                    record = json.loads(_decoded(line, encoding, where))
                except (ValueError, RecursionError) as error:
                    raise DataError(f"{where}: is not JSON: {error}") from error
                text = record.get(self.key) if isinstance(record, dict) else None
                if not isinstance(text, str):
                    got = type(record).__name__
                    if isinstance(record, dict):
                        other = type(text).__name__ if self.key in record else "no such key"
                        got = f"{other} among {sorted(record)}"
                    raise DataError(
                        f"{where}: expected an object with text under {self.key!r}, got {got}; "
                        "dataset.key names it"
                    )
                if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
                    raise DataError(f"{where}: holds half of a surrogate pair, which is not text")
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

    def _encoding(self, path: Path) -> str:
        """Of a file that is read line by line."""
        with path.open("rb") as file:
            head = file.read(16)
            if (marked := _marked(head, str(path))) is not None:
                return marked
            for encoding in self._encodings[:-1]:
                file.seek(0)
                decoder = codecs.getincrementaldecoder(encoding)()
                try:
                    while part := file.read(_PART):
                        decoder.decode(part)
                    decoder.decode(b"", final=True)
                except UnicodeDecodeError:
                    continue
                return encoding
        return self._encodings[-1]

    def _decode(self, data: bytes, where: str) -> str:
        if (marked := _marked(data, where)) is not None:
            return _decoded(data, marked, where)
        for encoding in self._encodings[:-1]:
            with suppress(UnicodeDecodeError):
                return data.decode(encoding)
        text = _decoded(data, self._encodings[-1], where)
        if len(self._encodings) == 1 and not data.isascii() and _is_utf_8(text, data):
            log.warning(
                "%s: is UTF-8, and is read as %s, which dataset.encoding names; several, as in "
                "['utf-8', %r], let each file have its own",
                where,
                self.encoding,
                self.encoding,
            )
        return text


_PART = 1 << 20
"""Bytes of a file that are looked at together."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # which begins as that of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


_OTHERS = {
    b"\x1f\x8b": "gzip",
    b"(\xb5/\xfd": "zstandard",
    b"\xfd7zXZ\0": "xz",
    b"PK\x03\x04": "zip",
    b"PAR1\x15": "Parquet",
    b"ARROW1\0\0": "Arrow",
    b"%PDF-1": "PDF",
}
"""Beginnings of files that are no text, though most encodings allow any byte."""


def _marked(data: bytes, where: str) -> str | None:
    """The encoding that a byte order mark tells, which is no part of the text.

    Raises:
        DataError: the data begin as a file does that is no text.
    """
    for head, kind in _OTHERS.items():
        if data.startswith(head):
            raise DataError(
                f"{where}: expected text, .jsonl, or a .zip of .txt files, got a file of the kind "
                f"{kind}"
            )
    return next((name for mark, name in _MARKS if data.startswith(mark)), None)


def _is_utf_8(text: str, data: bytes) -> bool:
    """Whether bytes that were read as something else are UTF-8, which hardly happens by chance."""
    try:
        return data.decode() != text
    except UnicodeDecodeError:
        return False


def _decoded(data: bytes, encoding: str, where: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        byte = f"byte {error.start} (0x{data[error.start]:02x})" if data else "it"
        raise DataError(
            f"{where}: {byte} is not {encoding}: {error.reason}; dataset.encoding names another "
            "encoding, or several to try for each file, as in ['utf-8', 'latin-1']"
        ) from error
