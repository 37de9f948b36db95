"""JSON lines: an object a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from aios_core.contracts import FileReader, TextSettings
from aios_core.contracts.reader import FileRow, OnProgress, unseen
from aios_plugins.readers._objects import marked, objects
from aios_plugins.readers._text import decoded_lines, lines


@frozen
class JsonLines(FileReader):
    """An object a line; lines without one are passed over."""

    def rows(self, path: Path, on_progress: OnProgress = unseen) -> Iterator[FileRow]:
        """Each object, in UTF-8; what made its vector is under ``_embedding``."""
        return map(marked, objects(path, lines(path, on_progress)))

    def records(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[FileRow]:
        """Each object, in any encoding."""
        return objects(path, decoded_lines(path, settings, on_progress))

    def example(self) -> bytes:
        """Two objects."""
        return b'{"text": "first"}\n{"text": "second"}\n'
