"""Bytes as text: encodings, byte order marks, and lines of a bounded length."""

from __future__ import annotations

import codecs
import io
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from aios_core.contracts.reader import FileRow, OnProgress, TextSettings
from aios_core.errors import DataError

log = logging.getLogger(__name__)

MAX_LINE: Final = 1 << 24
"""Longest line that is read, in bytes: 16 MiB is no memory but a file of another kind."""

_PART = 1 << 20
"""Bytes of a file that are looked at together."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # which begins as that of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


_OTHER: Final = (
    "names another encoding, or several to try for each file, as in ['utf-8', 'latin-1']"
)

_OTHERS = {
    b"\x1f\x8b": ("gzip", ".gz"),
    b"(\xb5/\xfd": ("zstandard", ".zst"),
    b"\xfd7zXZ\0": ("xz", ".xz"),
    b"BZh": ("bzip2", ".bz2"),
    b"PK\x03\x04": ("zip", ".zip"),
    b"PAR1\x15": ("Parquet", ".parquet"),
    b"ARROW1\0\0": ("Arrow", ".arrow"),
    b"%PDF-1": ("PDF", ""),
}
"""Beginnings of files that are no text, though most encodings allow any byte."""


def lines(path: Path, on_progress: OnProgress) -> Iterator[tuple[int, str]]:
    """The lines of a file in UTF-8, each with its number, from 1 on, and the end of the line.

    A byte order mark is no part of the first.

    Args:
        path: the file.
        on_progress: see `OnProgress`.

    Raises:
        DataError: one is too long, or is not UTF-8.
    """
    size, read, before = max(path.stat().st_size, 1), 0, 0
    with path.open("rb") as file:
        for number in range(1, 1 << 62):
            line = file.readline(MAX_LINE + 1)
            if not line:
                break
            if len(line) > MAX_LINE:
                raise DataError(f"{path}:{number}: is longer than {MAX_LINE} bytes")
            read += len(line)
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            try:
                yield number, line.decode()
            except UnicodeDecodeError as error:
                raise DataError(f"{path}:{number}: is not UTF-8: {error.reason}") from error
            if (now := read * 1000 // size) > before:
                on_progress(now - before)
                before = now


def decoded_lines(
    path: Path, settings: TextSettings, on_progress: OnProgress
) -> Iterator[tuple[int, str]]:
    """The lines of a file in whatever encoding, each with its number, and the end of the line.

    Args:
        path: the file.
        settings: which encodings are tried.
        on_progress: see `OnProgress`.

    Raises:
        DataError: one is not in the encoding, or the file is no text.
    """
    encoding = encoding_of(path, settings)
    size, read, before = max(path.stat().st_size, 1), 0, 0
    with path.open("rb") as file:
        # Those of UTF-16 and UTF-32 end in several bytes.
        wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
        whole = decode(file.read(), str(path), settings).encode() if wide else b""
        encoding = "utf-8" if wide else encoding
        for number, line in enumerate(io.BytesIO(whole) if wide else file, 1):
            yield number, decoded(line, encoding, f"{path}:{number}", settings)
            read += len(line)
            if not wide and (now := read * 1000 // size) > before:
                on_progress(now - before)
                before = now


def paragraphs(path: Path, on_progress: OnProgress) -> Iterator[FileRow]:
    """The paragraphs of a text, each with the name of the file and the number of its first line.

    Args:
        path: the file.
        on_progress: see `OnProgress`.

    Raises:
        DataError: a line is too long, or is not UTF-8.
    """
    kept: list[str] = []
    first = 1

    def paragraph() -> FileRow:
        values = {"text": "\n".join(kept), "source": path.name, "line": first}
        return FileRow(first, values, None)

    for number, line in lines(path, on_progress):
        if line.strip():
            first = first if kept else number
            kept.append(line.strip())
        elif kept:
            yield paragraph()
            kept = []
    if kept:
        yield paragraph()


def encoding_of(path: Path, settings: TextSettings) -> str:
    """Of a file that is read line by line: the first that reads all of it, or the last.

    Args:
        path: the file.
        settings: which are tried.
    """
    with path.open("rb") as file:
        head = file.read(16)
        if (mark := marked(head, str(path))) is not None:
            return mark
        for encoding in settings.encodings[:-1]:
            file.seek(0)
            decoder = codecs.getincrementaldecoder(encoding)()
            try:
                while part := file.read(_PART):
                    decoder.decode(part)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                continue
            return encoding
    return settings.encodings[-1]


def decode(data: bytes, where: str, settings: TextSettings) -> str:
    """All of a text, in the first encoding that reads it.

    Args:
        data: as in the file.
        where: that is, for messages.
        settings: which encodings are tried.

    Raises:
        DataError: none reads it, or it is not text.
    """
    if (mark := marked(data, where)) is not None:
        return decoded(data, mark, where, settings)
    for encoding in settings.encodings[:-1]:
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    text = decoded(data, settings.encodings[-1], where, settings)
    if len(settings.encodings) == 1 and not data.isascii() and _is_utf_8(text, data):
        several = "several, as in ['utf-8', {!r}], let each file have its own"
        hint = settings.hint("encoding", f"names it; {several.format(settings.encodings[0])}")
        log.warning("%s: is UTF-8, and is read as %s%s", where, settings.encodings[0], hint)
    return text


def marked(data: bytes, where: str) -> str | None:
    """The encoding that a byte order mark tells, which is no part of the text.

    Raises:
        DataError: the data begin like a file that is not text.
    """
    for head, (kind, suffix) in _OTHERS.items():
        if data.startswith(head):
            named = f", which is read where a name ends in {suffix}" if suffix else ""
            raise DataError(f"{where}: expected text, got a file of the kind {kind}{named}")
    return next((name for mark, name in _MARKS if data.startswith(mark)), None)


def _is_utf_8(text: str, data: bytes) -> bool:
    """Whether bytes that were read as something else are UTF-8, which hardly happens by chance."""
    try:
        return data.decode() != text
    except UnicodeDecodeError:
        return False


def decoded(data: bytes, encoding: str, where: str, settings: TextSettings) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        byte, before = "it", data[: error.start]
        if data:
            lines = 0 if encoding.startswith(("utf-16", "utf-32")) else before.count(b"\n")
            where = f"{where}:{lines + 1}" if lines else where
            place = error.start - (before.rfind(b"\n") + 1 if lines else 0)
            byte = f"byte {place} (0x{data[error.start]:02x})"
        raise DataError(
            f"{where}: {byte} is not {encoding}: {error.reason}{settings.hint('encoding', _OTHER)}"
        ) from error
