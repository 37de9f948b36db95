"""Tables as text: a row a line, and the names of the columns in the first."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from attrs import frozen

from aios_core.contracts import FileReader, TextSettings
from aios_core.contracts.reader import FileRow, OnProgress, unseen
from aios_core.errors import DataError
from aios_plugins.readers._text import MAX_LINE, decoded_lines


@frozen
class Csv(FileReader):
    """A row a line, values between commas, names in the first line (RFC 4180); all are texts."""

    delimiter: ClassVar = ","

    def rows(self, path: Path, on_progress: OnProgress = unseen) -> Iterator[FileRow]:
        """Each row, in UTF-8."""
        return self.records(path, TextSettings(), on_progress)

    def records(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[FileRow]:
        """Each row, in any encoding."""
        csv.field_size_limit(max(MAX_LINE, csv.field_size_limit()))  # one for the whole process
        lines = (line for _, line in decoded_lines(path, settings, on_progress))
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        names: list[str] = []
        while True:
            number = reader.line_num + 1
            where = f"{path}:{number}"
            try:
                values = next(reader, None)
            except csv.Error as error:
                raise DataError(f"{where}: is not {self._kind}: {error}") from error
            if values is None:
                break
            if not values:  # an empty line
                continue
            if not names:
                names = values
                if twice := [name for name in names if names.count(name) > 1]:
                    raise DataError(f"{where}: expected each column once, got {twice[0]!r} twice")
            elif len(values) != len(names):
                raise DataError(
                    f"{where}: is not {self._kind}: expected {len(names)} values, as many as the "
                    f"first line names, got {len(values)}"
                )
            else:
                yield FileRow(number, dict(zip(names, values, strict=True)), None, where)
        if not names:
            raise DataError(f"{path}: expected the names of columns in its first line, got nothing")

    def example(self) -> bytes:
        """Two rows of two columns."""
        return self.delimiter.join(("n", "text\n1", "first\n2", "second\n")).encode()

    @property
    def _kind(self) -> str:
        return type(self).__name__.upper()


@frozen
class Tsv(Csv):
    """The same with tabs in the place of commas."""

    delimiter: ClassVar = "\t"
