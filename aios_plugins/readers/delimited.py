"""Tables as text, which a memory is not made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from attrs import frozen

from aios_core.contracts import FileReader, TextSettings
from aios_core.contracts.reader import FileRow, OnProgress, unseen
from aios_core.errors import DataError
from aios_plugins.readers._text import decode


@frozen
class Delimited(FileReader):
    """CSV and TSV: one document, and no rows, since nothing says what its columns are."""

    plain: ClassVar = True

    def rows(self, path: Path, on_progress: OnProgress = unseen) -> Iterator[FileRow]:
        """None."""
        raise DataError(
            f"{path}: expected JSON lines, Parquet or text, got a table in {path.suffix.lower()}; "
            "pyarrow.csv and pyarrow.parquet make Parquet of it"
        )

    def texts(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[tuple[str, str]]:
        """All of it."""
        yield str(path), decode(path.read_bytes(), str(path), settings)
        on_progress(1000)

    def example(self) -> bytes:
        """A column."""
        return b"text\nfirst\nsecond\n"
