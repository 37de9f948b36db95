"""Plain text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from attrs import frozen

from aios_core.contracts import FileReader, TextSettings
from aios_core.contracts.reader import FileRow, OnProgress, unseen
from aios_plugins.readers._text import decode, paragraphs


@frozen
class Text(FileReader):
    """Text: its paragraphs are rows, and all of it is one document."""

    plain: ClassVar = True

    def rows(self, path: Path, on_progress: OnProgress = unseen) -> Iterator[FileRow]:
        """Each paragraph with ``text``, ``source`` and ``line``; in UTF-8."""
        return paragraphs(path, on_progress)

    def texts(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[tuple[str, str]]:
        """All of it."""
        yield str(path), decode(path.read_bytes(), str(path), settings)
        on_progress(1000)

    def example(self) -> bytes:
        """Two paragraphs."""
        return b"first\n\nsecond\n"
