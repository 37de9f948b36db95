"""Rows of a data set, read once, checked, and what they are in digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import evolve, frozen

from aios_core.contracts.dataset import Dataset, Split, border, cut
from aios_core.contracts.row_file import RowFile, encoded
from aios_core.contracts.rows import TEXT, Row, is_content
from aios_core.errors import DataError

Part = Literal[Split, "whole"]


@frozen
class Content:
    """What a split holds."""

    sha256: str
    """Hex digest of the rows and of where each of them ends."""
    num_bytes: int
    """Of what is to be learned in them, as UTF-8."""


Contents = Mapping[Part, Content]
"""By part, what it holds."""


class Spool:
    """Rows of a data set, read once.

    Args:
        dataset: is read here, and not again.
        name: of the data set in messages.
        whole: keep all rows as the one part ``"whole"``, and not its splits.

    Raises:
        DataError: a row is not what a network can learn from.
    """

    def __init__(self, dataset: Dataset, name: str, *, whole: bool = False) -> None:
        self._name, self._contents = name, dict[Part, Content]()
        self.parts: tuple[Part, ...] = ("whole",) if whole else dataset.splits()
        self._files: dict[Part, RowFile] = {part: RowFile() for part in self.parts}
        self._documents: RowFile | None = None
        self._border = 0
        if whole:
            for number, row in enumerate(dataset.all_rows(), 1):
                self._write(self._files["whole"], row, number)
        elif dataset.in_documents:
            self._documents = RowFile()
            characters = 0
            for number, document in enumerate(dataset.documents(), 1):
                row = _row(document)
                self._write(self._documents, row, number)
                characters += len(row.text or "")
            self._border = border(characters)
        else:
            numbers = dict.fromkeys(self.parts, 0)
            for split, row in dataset.parted():
                numbers[split] += 1
                self._write(self._files[split], row, numbers[split])

    @property
    def contents(self) -> Contents:
        """What each part holds."""
        if not self._contents:
            for part in self.parts:
                counter = _Counter()
                for row in self.rows(part):
                    counter.add(row)
                self._contents[part] = counter.content
        return self._contents

    def texts(self, part: Part) -> Iterator[str]:
        """Of each row all that is text in it, without what is absent."""
        return (row.joined("given", "target") for row in self.rows(part))

    def rows(self, part: Part) -> Iterator[Row]:
        """Rows of a part; none is empty."""
        if self._documents is None or part not in ("train", "validation"):
            return iter(self._files[part])
        texts = (row.segments[0].content for row in self._documents)
        return map(Row.of, cut(texts, self._border, part))

    def _write(self, file: RowFile, row: Any, number: int) -> None:
        try:
            file.write(self._checked(row, number))
        except UnicodeEncodeError as error:
            raise DataError(f"{self._name}: row {number}: cannot be UTF-8: {error}") from error

    def _checked(self, row: object, number: int) -> Row:
        """A row that a network can learn from.

        Raises:
            DataError: it is none, or has no target.
        """
        where = f"{self._name}: row {number}"
        if not isinstance(row, Row):
            raise DataError(f"{where}: expected a str or a Row, got {type(row).__name__}")
        for segment in row.segments:
            if segment.modality != TEXT:
                raise DataError(
                    f"{where}: segment {segment.name!r} is of the modality {segment.modality!r}; "
                    f"expected {TEXT!r}"
                )
            if not is_content(segment.content):
                raise DataError(
                    f"{where}: segment {segment.name!r}: expected a str, or a tuple of str and "
                    f"Control, got {type(segment.content).__name__}"
                )
        if row.text is None and not row.joined("target"):
            roles = ", ".join(f"{s.name} ({s.role})" for s in row.segments)
            raise DataError(f"{where}: expected a target that is not empty, got {roles}")
        return row


class _Counter:
    """Digest and size of rows, one after the other."""

    def __init__(self) -> None:
        self._digest, self._num_bytes = hashlib.sha256(), 0

    def add(self, row: Row) -> None:
        # Wherever they are from, the same rows are the same.
        size, data = encoded(evolve(row, where="") if row.chat else row)
        # With its length, so that it counts where a row ends.
        self._digest.update(size.to_bytes(8, "little"))
        self._digest.update(data)
        self._num_bytes += len(row.joined("target").encode())

    @property
    def content(self) -> Content:
        return Content(self._digest.hexdigest(), self._num_bytes)


def _row(document: object) -> Any:
    """The row of a document; what is no text is refused with its number, like any other row."""
    return Row.of(document) if isinstance(document, str) else document
