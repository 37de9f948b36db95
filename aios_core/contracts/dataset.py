"""Data sets: texts, and how they are split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, final

Split = Literal["train", "validation"]

HELD_OUT = 0.1
"""Fraction of the characters, at the end, that is never trained on."""


class Dataset(ABC):
    """Documents in a fixed order; the last tenth of their characters is the validation split.

    The split is by position and never at random: neighbours in a text are too alike, so a random
    split would let the network see what it is tested on.
    """

    @abstractmethod
    def documents(self) -> Iterator[str]:
        """Every document, in the same order each time.

        Raises:
            DataError: a file is missing or cannot be read as text.
        """

    def files(self) -> tuple[Path, ...] | None:
        """Every file that the documents depend on; None where other things decide them too.

        While these files are as they were (size, time and inode), nothing is read again: what the
        documents hold is then known from the last time.

        Raises:
            DataError: one is missing.
        """
        return None

    @final
    def texts(self, split: Split) -> Iterator[str]:
        """Documents of one split; the document on the border is cut in two there."""
        return cut(self.documents(), border(sum(map(len, self.documents()))), split)


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
