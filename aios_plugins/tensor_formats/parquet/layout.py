"""What stands in a weight file, and what its parts are called.

FORMAT.md beside this file is the specification.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import frozen

FORMAT: Final = 2
"""Of files in which a tensor has several names; this version reads up to that, and no newer one."""
PLAIN: Final = 1
"""Of all other files, which every version reads."""

CARD: Final = b"aios.card"
INDEX: Final = b"aios.index"
DIGEST: Final = b"aios.xxh3"
"""Keys of the metadata in a file's footer: the model card, the index, and the digest of both."""

WEIGHTS: Final = "weights"
"""The part of a file that a model's own tensors belong to."""

ALIGNMENT: Final = 64
"""Payloads and parameters begin at multiples of this many bytes."""

MAX_BITS: Final = 8
"""Of a quantized code."""

DTYPES: Final[Mapping[str, int]] = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}
"""Names of types, as torch has them, and the bytes of an element."""

PACKING: Final = ("bits", "group_size", "scheme", "method", "layout", "param_fmt")
"""Columns that say how a quantized tensor is to be read, named as in `QuantizedTensor`."""

BLOBS: Final = ("padding", "payload", "params_padding", "params")
"""Columns of bytes, which stand last in a row."""


@frozen
class Bytes:
    """A run of bytes in a file."""

    offset: int
    size: int
    xxh3: str
    """XXH3 of 64 bits, as 16 hexadecimal digits."""


@frozen
class Packing:
    """How a quantized tensor is to be read; the fields are those of `QuantizedTensor`."""

    bits: int
    group_size: int
    scheme: str
    method: str
    layout: str
    param_fmt: str
    params: Bytes


@frozen
class Entry:
    """A tensor in a file."""

    name: str
    part: str
    """What it belongs to: ``"weights"``, ``"tokenizer"``, ..."""
    dtype: str
    """A key of `DTYPES`; of a quantized tensor, that of the matrix before."""
    shape: tuple[int, ...]
    chunks: tuple[Bytes, ...]
    """Its payload in order; one, but for tensors beyond the largest chunk."""
    packing: Packing | None
    """None where it is stored as it is."""

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return sum(chunk.size for chunk in self.chunks)

    @property
    def nbytes(self) -> int:
        """Bytes of the payload and of its parameters."""
        return self.size + (self.packing.params.size if self.packing else 0)

    @property
    def numel(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def runs(self) -> tuple[tuple[str, Bytes], ...]:
        """Every run of bytes with the column that it stands in."""
        payload = [("payload", chunk) for chunk in self.chunks]
        return (*payload, ("params", self.packing.params)) if self.packing else tuple(payload)


def digest(data: Any) -> str:
    """XXH3 of 64 bits of anything that is bytes, as 16 hexadecimal digits."""
    import xxhash

    return str(xxhash.xxh3_64_hexdigest(data))


def index_path(path: Path) -> Path:
    """The file that names the shards of a weight file."""
    return path.with_name(f"{path.name}.index.json")


def opens(path: Path) -> Path:
    """The file that opens a model: itself, or the index where it stands in shards."""
    index = index_path(path)
    return index if index.exists() else path


def shard_name(path: Path, number: int, count: int) -> str:
    """Name of a shard, as in ``model-00001-of-00003.parquet``; numbers count from 0."""
    return f"{path.stem}-{number + 1:05d}-of-{count:05d}{path.suffix}"
