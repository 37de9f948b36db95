"""Which rows of a data set that has no validation rows of its own are held out."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from typing import Final, Literal

import numpy as np

from aios_core.contracts import Row, Split
from aios_core.contracts.dataset import SPLITS, cut
from aios_core.contracts.row_file import RowFile
from aios_core.errors import DataError

How = Literal["documents", "end"]

FEWEST: Final = 10
"""Rows that are split as whole ones by their hashes; of fewer the last are held out."""


def divided(
    rows: Iterable[Row], how: How, share: float, seed: int, where: str
) -> Iterator[tuple[Split, Row]]:
    """Each row with its split, which is known once all of them were read; they are read once.

    Equal rows are in one split. The more rows there are, the nearer is the share; which rows are
    held out depends on their content and on no order.

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
    kept, hashes, characters, plain = RowFile(), array("Q"), 0, True
    for row in rows:
        kept.write(row)
        hashes.append(_hash(row, seed))
        plain = plain and row.text is not None
        characters += len(row.text or "")
    if not hashes or (plain and characters < 2) or (not plain and len(hashes) < 2):
        raise DataError(
            f"{where}: expected two rows or characters at least, one of them to hold out, got "
            f"{len(hashes)} rows of {characters} characters; validation names a file for that"
        )
    count = _between(round(len(hashes) * share), len(hashes))
    if how == "documents" and len(hashes) >= FEWEST:
        below = _threshold(hashes, count, where)
        for key, row in zip(hashes, kept, strict=True):
            yield "validation" if key < below else "train", row
    elif plain:
        at = _between(round(characters * (1 - share)), characters)
        for split in SPLITS:
            for text in cut((row.text or "" for row in kept), at, split):
                yield split, Row.of(text)
    else:
        for number, row in enumerate(kept):
            yield "train" if number < len(hashes) - count else "validation", row


def _threshold(hashes: array[int], count: int, where: str) -> int:
    """What the hashes of about so many rows are below."""
    all_of_them = np.frombuffer(hashes, np.uint64)
    below = int(np.partition(all_of_them, count - 1)[count - 1]) + 1
    if below > int(all_of_them.max()):
        raise DataError(
            f"{where}: expected rows that differ, some of them to hold out, got {len(hashes)}, "
            "nearly all of them equal; validation names a file for that"
        )
    return below


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
