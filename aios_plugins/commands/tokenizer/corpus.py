"""Texts from files, a little at a time, as the training of a tokenizer takes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from aios_core.contracts import TextSettings
from aios_core.errors import DataError, TokenizerError
from aios_core.files import no_file
from aios_core.formats import reader_named, reader_of
from aios_core.registry import Registry

BLOCK: Final = 1 << 22
"""Characters of a file that are in memory at once."""

# No tokenizer joins a letter or digit with white space after it, so words are those of the whole.
_CUT: Final = re.compile(r"[A-Za-z0-9](?=[ \t\r\n])")


def texts(file: Path, field: str | None) -> Iterator[tuple[str, int]]:
    """Texts of a file, and how many of its bytes have been read so far.

    Args:
        file: text; with `field` any kind of file that has a reader, or else JSON lines.
        field: the column, or the key in every line.

    Raises:
        TokenizerError: the file cannot be read, or is not what it has to be; tells the line.
    """
    if wrong := no_file(file):
        raise TokenizerError(f"{file}: {wrong}; expected a file of texts")
    try:
        if field is not None:
            yield from _fields(file, field)
            return
        with file.open(encoding="utf-8-sig", newline="") as source:
            yield from _text(source)
    except DataError as error:
        raise TokenizerError(str(error)) from error
    except OSError as error:
        raise TokenizerError(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{file}: {error}") from error


def _text(source: IO[str]) -> Iterator[tuple[str, int]]:
    """Blocks that end between words."""
    done, kept = 0, ""
    while block := source.read(BLOCK):
        kept += block
        # From the right, a line at a time or so: the last cut is near the end.
        start = max(len(kept) - 4096, 0)
        cuts = [cut.end() for cut in _CUT.finditer(kept, start)]
        if cuts:
            done += len(kept[: cuts[-1]].encode())
            yield kept[: cuts[-1]], done
            kept = kept[cuts[-1] :]
    yield kept, done + len(kept.encode())


def _fields(file: Path, field: str) -> Iterator[tuple[str, int]]:
    """Texts by their field."""
    registry = Registry.discover(insist=False)
    reader = reader_of(file, registry)
    if reader.plain:  # its suffix says nothing, and a field says that it is no plain text
        reader = reader_named("jsonl", registry)
    size, read = file.stat().st_size, 0

    def on_progress(thousandths: int) -> None:
        nonlocal read
        read += thousandths

    for _, text in reader.texts(file, TextSettings(field), on_progress):
        yield text, read * size // 1000
