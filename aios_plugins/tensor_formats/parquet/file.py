"""One weight file, mapped: what it holds is known at once, and its bytes are read when touched."""

from __future__ import annotations

import mmap
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aios_core.errors import ModelLoadError
from aios_core.signatures import READ, kind
from aios_plugins.tensor_formats.parquet.index import Index, read_object
from aios_plugins.tensor_formats.parquet.layout import CARD, DIGEST, INDEX, digest
from aios_plugins.tensor_formats.parquet.pages import read_varint, varint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from aios_plugins.tensor_formats.parquet.layout import Bytes, Entry

_MAGIC: Final = b"PAR1"
_TAIL: Final = 8
"""Bytes at the end of a Parquet file: the length of the footer, and the magic word again."""

MAX_FOOTER: Final = 1 << 28
"""Bytes of the largest footer that is read; a tensor takes about 1200."""


class WeightFile:
    """A file, checked so far as it can be without reading tensors.

    Args:
        path: of the file.
        mapped: map it; else bytes are read when asked for, which suits a network's disk.

    Attributes:
        path: the same.
        entries: what it holds, by part and name.
        card: its model card.
        digest: of card and index.
        data: the mapped file, private to this process: what is written to it stays here.
        end: offset of the footer.

    Raises:
        ModelLoadError: it cannot be opened, is truncated, changed, or no weight file.
    """

    def __init__(self, path: Path, *, mapped: bool = True) -> None:
        self.path = path
        with self.naming():
            try:
                with path.open("rb") as file:
                    state = os.fstat(file.fileno())
                    size, self._inode = state.st_size, (state.st_dev, state.st_ino)
                    if size < len(_MAGIC) + _TAIL:
                        raise ModelLoadError("is truncated, or no Parquet file")
                    self.data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
            except (OSError, ValueError) as error:
                raise ModelLoadError(f"cannot be opened: {error}") from error
            self.end = self._footer()
            index, card, digests = (self._metadata(key) for key in (INDEX, CARD, DIGEST))
            self.digest = digest(card + index)
            if self.digest.encode() != digests:
                raise ModelLoadError("its index or its model card is changed: XXH3 differs")
            self.entries = Index(index, self.end)
            self.card = read_object(card, "the model card")
        self._mapped = mapped

    @contextmanager
    def naming(self, entry: Entry | None = None) -> Iterator[None]:
        """Say of which file, and of which tensor, an error is."""
        try:
            yield
        except ModelLoadError as error:
            what = f"{entry.name!r}: " if entry else ""
            raise ModelLoadError(f"{self.path}: {what}{error}") from error.__cause__

    def read(self, run: Bytes) -> Tensor:
        """A run of bytes, (n,) uint8: a view where the file is mapped, else a copy."""
        import torch

        if not run.size:
            return torch.empty(0, dtype=torch.uint8)
        if self._mapped:
            return torch.frombuffer(self.data, dtype=torch.uint8, count=run.size, offset=run.offset)
        buffer = bytearray(run.size)
        with self.path.open("rb") as file:
            state = os.fstat(file.fileno())
            if (state.st_dev, state.st_ino) != self._inode:
                raise ModelLoadError("is another file than the one that was opened: open it again")
            file.seek(run.offset)
            if file.readinto(buffer) != run.size:
                raise ModelLoadError("is truncated since it was opened")
        return torch.frombuffer(buffer, dtype=torch.uint8)

    def check(self, run: Bytes, column: str) -> None:
        """Hold bytes against their digest.

        Raises:
            ModelLoadError: they differ.
        """
        with memoryview(self.data) as view, view[run.offset : run.offset + run.size] as own:
            actual = digest(own)
        if actual != run.xxh3:
            raise ModelLoadError(
                f"a byte of its {column} is changed: XXH3 is {actual}, was {run.xxh3} when written"
            )

    def _footer(self) -> int:
        """Where the footer begins."""
        size = len(self.data)
        sort = kind(self.data[:16])
        if sort in READ:
            raise ModelLoadError(
                f"is a {sort} file; expected a weight file, which `aios weights convert "
                f"{self.path} {self.path.with_suffix('.parquet').name}` makes of it"
            )
        if sort not in (None, "Parquet"):
            raise ModelLoadError(f"is of the kind {sort}; expected a weight file (Parquet)")
        if self.data[: len(_MAGIC)] != _MAGIC or self.data[-len(_MAGIC) :] != _MAGIC:
            raise ModelLoadError("is truncated, or no Parquet file: it does not end in PAR1")
        length = int.from_bytes(self.data[-_TAIL : -len(_MAGIC)], "little")
        if length > min(MAX_FOOTER, size - len(_MAGIC) - _TAIL):
            raise ModelLoadError(f"is truncated or changed: a footer of {length} bytes")
        return size - _TAIL - length

    def _metadata(self, key: bytes) -> bytes:
        """A value from the end of the footer, which spares us to read all of it.

        Neither a key nor a value of ours holds the control characters that frame them.
        """
        frame = b"\x18" + varint(len(key)) + key + b"\x18"
        at = self.data.rfind(frame, self.end, len(self.data) - _TAIL)
        if at < 0:
            raise ModelLoadError(
                f"is a Parquet file without {key.decode()}; expected one that `aios weights "
                "convert` or `aios quantize` wrote"
            )
        at += len(frame)
        size, start = read_varint(self.data[at : at + 10], 0)
        if start + size > len(self.data) - _TAIL - at:
            raise ModelLoadError(f"is changed: its {key.decode()} ends beyond the footer")
        return self.data[at + start : at + start + size]
