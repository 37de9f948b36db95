"""Data sets: rows, or texts as their short form, and how they are split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, final

from aios_core.contracts.row_file import RowFile
from aios_core.contracts.rows import Row

Split = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "validation")
"""Those that every data set has."""

HELD_OUT = 0.1
"""Fraction of the characters, at the end, that is never trained on."""


class Dataset:
    """Rows in a fixed order, in two splits, or in three.

    Most people write `documents`, the short form: each text is a row that is one target, and the
    last tenth of the characters is the validation split. Who has prompts and answers, or a split of
    their own, writes `rows`.
    """

    def documents(self) -> Iterator[str]:
        """Every text, in the same order each time.

        Raises:
            DataError: a file is missing or cannot be read as text.
        """
        raise NotImplementedError(f"{type(self).__name__} writes neither documents nor rows")

    def rows(self, split: Split) -> Iterator[Row]:
        """Rows of one split, in the same order each time.

        Here they are texts, split by position and never at random: neighbours in a text are too
        alike, so a random split would let the network see what it is tested on. The document on
        the border is cut in two there.

        Args:
            split: which one.

        Raises:
            DataError: a file is missing, or a row cannot be read.
        """
        at = border(sum(map(len, self.documents())))
        return map(Row.of, cut(self.documents(), at, split))

    def splits(self) -> tuple[Split, ...]:
        """Which there are: a test split only where somebody says which rows it has."""
        return SPLITS

    def parted(self) -> Iterator[tuple[Split, Row]]:
        """Every row with its split, those of a split in the order that `rows` gives them.

        Documents are read once here; override it where a single reading gives the rows of several
        splits in another way.

        Raises:
            DataError: as for `rows`.
        """
        if self.in_documents:
            kept = RowFile()
            for row in map(Row.of, self.documents()):
                kept.write(row)
            at = border(sum(len(row.text or "") for row in kept))
            for split in SPLITS:
                for text in cut((row.text or "" for row in kept), at, split):
                    yield split, Row.of(text)
            return
        for split in self.splits():
            for row in self.rows(split):
                yield split, row

    @final
    def texts(self, split: Split) -> Iterator[str]:
        """Of each row of a split all that is text in it, without what is absent.

        Raises:
            DataError: as for `rows`.
        """
        return (row.joined("given", "target") for row in self.rows(split))

    def all_rows(self) -> Iterator[Row]:
        """Every row of all splits; here documents that are no longer cut.

        Raises:
            DataError: as for `rows`.
        """
        if self.in_documents:
            return map(Row.of, filter(None, self.documents()))
        return (row for _, row in self.parted())

    @property
    @final
    def in_documents(self) -> bool:
        """Whether it is written in the short form."""
        return type(self).rows is Dataset.rows

    def shape(self) -> tuple[str, ...]:
        """Its keys that say what a row is, wherever the rows are.

        The data set ``file`` has them too: other files are read with them, to be measured on.
        """
        return ()

    def asked(self, prompt: str | Mapping[str, Any]) -> Row | None:
        """What stands before the answer to a prompt, written as in the rows that were learned from.

        None: prompts are continued as they are, which is right for rows that are one text.

        Args:
            prompt: what somebody asks, or what a row has of it, by column.

        Raises:
            DataError: the prompt is not what rows are made of.
        """
        return None

    def columns(self) -> int | None:
        """Characters of a line where rows are grids of characters, shown as such; None: texts."""
        return None

    def files(self) -> tuple[Path, ...] | None:
        """Every file that the rows depend on; None where other things decide them too.

        While these files are as they were (size, time and inode), nothing is read again: what the
        rows hold is then known from the last time.

        Raises:
            DataError: one is missing.
        """
        return None


def border(characters: int) -> int:
    """Where the validation split begins in documents of so many characters together."""
    return round(characters * (1 - HELD_OUT))


def cut(documents: Iterable[str], at: int, split: Split) -> Iterator[str]:
    """Documents of one split.

    Args:
        documents: all of them.
        at: character at which the validation split begins.
        split: which one.
    """
    start = 0
    for document in documents:
        place = min(max(at - start, 0), len(document))
        part = document[:place] if split == "train" else document[place:]
        if part:
            yield part
        start += len(document)
