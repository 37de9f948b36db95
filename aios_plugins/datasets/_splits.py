"""Which rows of a data set that has no validation rows of its own are held out."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from typing import Final, Literal

import numpy as np
from attrs import evolve, frozen

from aios_core.contracts import Row, Split
from aios_core.contracts.dataset import cut
from aios_core.errors import DataError

How = Literal["documents", "end"]

_WHOLE: Final = 1 << 64

FEWEST: Final = 10
"""Rows that are split as whole ones by their hashes; of fewer the last are held out."""


@frozen
class Border:
    """Where the validation split begins."""

    seed: int
    number: int
    """Of all rows."""
    digest: int
    """Of all rows in whatever order."""
    where: str
    """They are from, for messages."""
    character: int | None = None
    """Of texts, one behind the other."""
    row: int | None = None
    """Number of the first row."""
    below: int | None = None
    """Hashes below this one are of the validation split."""

    @classmethod
    def of(cls, rows: Iterable[Row], how: How, share: float, seed: int, where: str) -> Border:
        """Look at all rows.

        Equal rows are in one split. The more rows there are, the nearer is the share; which rows
        are held out depends on their content and on no order.

        Args:
            rows: of both splits.
            how: ``"documents"`` takes whole rows by their hashes, ``"end"`` the last characters of
                texts, or the last of other rows.
            share: of the rows, or of the characters.
            seed: another one holds out others.
            where: they are from, for messages.

        Raises:
            DataError: a split would have no row.
        """
        hashes, characters, plain = array("Q"), 0, True
        for row in rows:
            hashes.append(_hash(row, seed))
            plain = plain and row.text is not None
            characters += len(row.text or "")
        if not hashes or (plain and characters < 2) or (not plain and len(hashes) < 2):
            raise DataError(
                f"{where}: expected two rows or characters at least, one of them to hold out, got "
                f"{len(hashes)} rows of {characters} characters; validation names a file for that"
            )
        count = _between(round(len(hashes) * share), len(hashes))
        border = cls(seed, len(hashes), sum(hashes) % _WHOLE, where)
        if how == "documents" and len(hashes) >= FEWEST:
            kept = np.frombuffer(hashes, np.uint64)
            below = int(np.partition(kept, count - 1)[count - 1]) + 1
            if below > int(kept.max()):
                raise DataError(
                    f"{where}: expected rows that differ, some of them to hold out, got "
                    f"{len(hashes)}, nearly all of them equal; validation names a file for that"
                )
            return evolve(border, below=below)
        if plain:
            return evolve(border, character=_between(round(characters * (1 - share)), characters))
        return evolve(border, row=len(hashes) - count)

    def split(self, rows: Iterable[Row], split: Split) -> Iterator[Row]:
        """Rows of one split.

        Raises:
            DataError: at their end, if they are not the rows that the border is from.
        """
        if self.character is not None:
            texts = (row.text or "" for _, row in self._counted(rows))
            yield from map(Row.of, cut(texts, self.character, split))
            return
        for number, (key, row) in enumerate(self._counted(rows)):
            held_out = number >= self.row if self.row is not None else key < (self.below or 0)
            if held_out is (split != "train"):
                yield row

    def _counted(self, rows: Iterable[Row]) -> Iterator[tuple[int, Row]]:
        """Rows and their hashes."""
        number = digest = 0
        for row in rows:
            key = _hash(row, self.seed)
            number, digest = number + 1, (digest + key) % _WHOLE
            yield key, row
        if (number, digest) != (self.number, self.digest):
            raise DataError(
                f"{self.where}: was changed while it was being read: {self.number} rows the first "
                f"time, {number} the second{' and others' if number == self.number else ''}; run "
                "the command again"
            )


def _between(count: int, total: int) -> int:
    """A count that leaves something on both sides."""
    return min(max(count, 1), total - 1)


def _hash(row: Row, seed: int) -> int:
    digest = hashlib.blake2b(seed.to_bytes(8, "little"), digest_size=8)
    for segment in row.segments:
        for part in (segment.name, segment.role, str(segment.content)):
            data = part.encode(errors="surrogatepass")
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
    return int.from_bytes(digest.digest(), "little")
