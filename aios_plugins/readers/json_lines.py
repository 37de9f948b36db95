"""JSON lines: an object a line."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from aios_core import strict_json
from aios_core.contracts import FileReader, TextSettings
from aios_core.contracts.maker import MADE_BY, Maker
from aios_core.contracts.reader import FileRow, OnProgress, unseen
from aios_core.errors import DataError
from aios_plugins.readers._text import decode, decoded, encoding_of, lines


@frozen
class JsonLines(FileReader):
    """An object a line; lines without one are passed over."""

    def rows(self, path: Path, on_progress: OnProgress = unseen) -> Iterator[FileRow]:
        """Each object, in UTF-8; what made its vector is under ``_embedding``."""
        for number, line in lines(path, on_progress):
            if not line.strip():
                continue
            row = _parsed(line, f"{path}:{number}")
            if not isinstance(row, dict):
                got = type(row).__name__
                raise DataError(f"{path}:{number}: expected an object with text, got {got}")
            maker = None
            if MADE_BY in row:
                try:
                    maker = Maker.parse(row.pop(MADE_BY))
                except ValueError as error:
                    raise DataError(f"{path}:{number}: {MADE_BY!r}: {error}") from None
            yield FileRow(number, row, maker)

    def texts(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[tuple[str, str]]:
        """The text of each object, in any encoding."""
        encoding = encoding_of(path, settings)
        size, read, before = max(path.stat().st_size, 1), 0, 0
        with path.open("rb") as file:
            # Those of UTF-16 and UTF-32 end in several bytes.
            wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
            whole = decode(file.read(), str(path), settings).encode() if wide else b""
            encoding = "utf-8" if wide else encoding
            for number, line in enumerate(io.BytesIO(whole) if wide else file, 1):
                where = f"{path}:{number}"
                if line.strip():
                    yield where, _text(line, encoding, where, settings)
                read += len(line)
                if not wide and (now := read * 1000 // size) > before:
                    on_progress(now - before)
                    before = now

    def example(self) -> bytes:
        """Two objects."""
        return b'{"text": "first"}\n{"text": "second"}\n'


def _parsed(line: str, where: str, expected: str = "") -> Any:
    """What a line says."""
    try:
        return strict_json.loads(line)
    except strict_json.RepeatedKeyError as error:
        raise DataError(f"{where}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: is not JSON: {error}{expected}") from error


def _text(line: bytes, encoding: str, where: str, settings: TextSettings) -> str:
    """The text of an object."""
    expected = f"; expected an object with text under {settings.key!r}"
    record = _parsed(decoded(line, encoding, where, settings), where, expected)
    text = record.get(settings.key) if isinstance(record, dict) else None
    if not isinstance(text, str):
        got = type(record).__name__
        if isinstance(record, dict):
            other = type(text).__name__ if settings.key in record else "no such key"
            got = f"{other} among {sorted(record)}"
        raise DataError(
            f"{where}: expected an object with text under {settings.key!r}, got {got}"
            f"{settings.hint('key', 'names it')}"
        )
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise DataError(f"{where}: holds half of a surrogate pair, which is not text")
    return text
