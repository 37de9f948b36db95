"""Data sets: texts, and how they are split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Literal

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

    def texts(self, split: Split) -> Iterator[str]:
        """Documents of one split; the document on the border is cut in two there."""
        border = round(sum(map(len, self.documents())) * (1 - HELD_OUT))
        start = 0
        for document in self.documents():
            cut = min(max(border - start, 0), len(document))
            part = document[:cut] if split == "train" else document[cut:]
            if part:
                yield part
            start += len(document)
