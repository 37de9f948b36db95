"""Weight files that are changed at random: some of their bytes, or what their index says."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq
from attrs import frozen

from aios_plugins.tensor_formats.parquet.file import WeightFile
from aios_plugins.tensor_formats.parquet.layout import CARD, DIGEST, INDEX, digest
from aios_plugins.tensor_formats.parquet.pages import varint

if TYPE_CHECKING:
    import random
    from pathlib import Path

FOOTER: Final = 3000
"""Bytes before the end in which most changes are made: the index is where sizes stand."""

LIES: Final = (
    *(0, 1, -1, 2, 3, 16, 64, 127, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, 2**64, 10**30),
    *([], [0], [0, 0], [2**62, 0], [2**62, 2**62, 0], [1] * 64, [2] * 65, [2**32, 2**32]),
    *(
        "",
        "a",
        "rtn",
        "arrow",
        "rows",
        "f16",
        "u4",
        "u6",
        "f16+e8",
        "u4+e8",
        "symmetric",
        "float64",
        "bool",
        "x" * 300,
    ),
    *(None, True, 1.5, {}, {"all": 0}, {"all": []}, "\0", "x" * 300, "\ud800"),
)
"""What may stand where something else stood."""


@frozen
class Parts:
    """A file taken apart."""

    body: bytes
    """All before the footer."""
    card: bytes
    index: dict[str, Any]

    @classmethod
    def of(cls, path: Path) -> Parts:
        """Of a sound file."""
        metadata = pq.read_metadata(path).metadata
        return cls(
            path.read_bytes()[: WeightFile(path).end], metadata[CARD], json.loads(metadata[INDEX])
        )

    def file(self) -> bytes:
        """A file whose digest of card and index is right, whatever they say."""
        index = json.dumps(self.index).encode()
        metadata = {INDEX: index, CARD: self.card, DIGEST: digest(self.card + index).encode()}
        footer = b"".join(
            b"\x18" + varint(len(word)) + word for pair in metadata.items() for word in pair
        )
        return self.body + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def lie(parts: Parts, chance: random.Random) -> Parts:
    """The same with one value of a tensor in the index, or some, replaced by hostile ones."""
    index, row = copy.deepcopy(parts.index), chance.random()
    columns = [name for name, column in index.items() if isinstance(column, list | dict) and column]
    for _ in range(chance.choice((1, 1, 2, 3)) if columns else 0):
        column = index[chance.choice(columns)]
        at = int(row * len(column)) if isinstance(column, list) else next(iter(column))
        value, said = column[at], copy.deepcopy(chance.choice(LIES))
        if type(value) is int and chance.random() < 0.5:
            said = value + chance.choice((-64, -1, 1, 64))
        elif type(value) is list and value and chance.random() < 0.5:
            value[chance.randrange(len(value))], said = said, value
        column[at] = said
    if chance.random() < 0.1:
        index[chance.choice(list(index))] = copy.deepcopy(chance.choice(LIES))
    return Parts(parts.body, parts.card, index)


def change(data: bytes, chance: random.Random) -> bytes:
    """Some bytes flipped, set, cut out, repeated or cut off."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        first = max(0, len(data) - FOOTER) if chance.random() < 0.8 else 0
        at = chance.randrange(first, max(len(data), first + 1))
        size = chance.choice((0, 1, 1, 2, 4, 8, 64))
        piece = data[at : at + size]
        new = chance.choice(
            (
                bytes(byte ^ 1 << chance.randrange(8) for byte in piece),
                chance.randbytes(size),
                b"",
                piece * 2,
                chance.choice((b"\xff", b"\x00", b"9", b'"', b"]")) * size,
            )
        )
        data = data[:at] + new + (b"" if chance.random() < 0.02 else data[at + size :])
    return data
