"""Writes weight files: whole or not at all, in shards where they grow too large."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa
import torch
from attrs import define, field
from torch import Tensor

from aios_core.contracts import QuantizedTensor
from aios_core.errors import ModelSaveError
from aios_core.files import scratch
from aios_plugins.tensor_formats.parquet.index import write
from aios_plugins.tensor_formats.parquet.layout import (
    CARD,
    DIGEST,
    DTYPES,
    INDEX,
    PACKING,
    WEIGHTS,
    digest,
)
from aios_plugins.tensor_formats.parquet.publish import publish
from aios_plugins.tensor_formats.parquet.rows import RowWriter

if TYPE_CHECKING:
    from os import PathLike

MAX_CHUNK: Final = 1 << 30
"""Bytes of a payload that stand in one row; Parquet's pages end at twice that."""

MAX_SHARD: Final = 2 << 30
"""Bytes of tensors in one file, unless a single tensor is larger."""


class WeightWriter:
    """Tensors into a Parquet file, or into several of them and an index.

        with WeightWriter("model.parquet", card={"license": "apache-2.0"}) as file:
            for name, tensor in model.state_dict().items():
                file.add(name, tensor)

    Nothing appears under the path before the block ends, and nothing if it raises.

    Args:
        path: of the file; of several, ``model-00001-of-00003.parquet`` beside it and
            ``model.parquet.index.json``.
        card: what shall be known of the model, ready for JSON.
        max_shard: bytes of tensors a file.
        max_chunk: bytes of a payload a row.

    Attributes:
        written: the file to open once the block has ended: `path`, or the index of shards.
    """

    written: Path

    def __init__(
        self,
        path: str | PathLike[str],
        card: Mapping[str, Any] | None = None,
        *,
        max_shard: int = MAX_SHARD,
        max_chunk: int = MAX_CHUNK,
    ) -> None:
        self._path, self._card = Path(path), json.dumps(dict(card or {}), default=str).encode()
        self._max_shard, self._max_chunk = max_shard, max_chunk
        self._names: set[tuple[str, str]] = set()
        self._shard_of: dict[tuple[str, str], _Shard] = {}
        self._shards: list[_Shard] = []
        self._open = ExitStack()
        self._beside: Path | None = None  # the folder that shards are written in

    def add(self, name: str, value: Tensor | QuantizedTensor, part: str = WEIGHTS) -> None:
        """Write a tensor behind those that are there.

        Args:
            name: unlike all others of its part.
            value: on any device; one that is quantized stays packed.
            part: what the tensor belongs to.

        Raises:
            ModelSaveError: the name is taken, the type is not known, or the disk is full.
        """
        if (part, name) in self._names:
            raise ModelSaveError(f"{self._path}: {name!r} is written twice")
        self._names.add((part, name))
        try:
            self._add(name, value, part)
        except (OSError, pa.ArrowException) as error:
            raise ModelSaveError(f"{self._path}: {name!r} cannot be written: {error}") from error

    def tie(self, name: str, other: str) -> None:
        """Give a weight that was added another name, under which readers find the same bytes.

        Args:
            name: unlike all others.
            other: of the weight.

        Raises:
            ModelSaveError: the name is taken, or there is no such weight.
        """
        shard = self._shard_of.get((WEIGHTS, other))
        if (WEIGHTS, name) in self._names or shard is None:
            raise ModelSaveError(f"{self._path}: {name!r} cannot be tied to {other!r}")
        self._names.add((WEIGHTS, name))
        shard.tied[name] = other

    def _add(self, name: str, value: Tensor | QuantizedTensor, part: str) -> None:
        quantized = value if isinstance(value, QuantizedTensor) else None
        dtype = str(value.dtype).removeprefix("torch.")
        if dtype not in DTYPES:
            raise ModelSaveError(
                f"{self._path}: {name!r} is {dtype}; a file holds {', '.join(DTYPES)}"
            )
        if isinstance(value, Tensor) and value.layout != torch.strided:
            raise ModelSaveError(
                f"{self._path}: {name!r} is a tensor of {value.layout}; expected a dense one, as "
                ".to_dense() makes"
            )
        payload = _buffer(value if isinstance(value, Tensor) else value.codes)
        params = _buffer(quantized.params) if quantized else pa.py_buffer(b"")
        shard = self._shard(payload.size + params.size)
        row = {
            "name": name,
            "part": part,
            "shape": list(value.shape),
            "dtype": dtype,
            **(_packing(quantized) if quantized else {**_PLAIN, "bits": 8 * DTYPES[dtype]}),
        }
        for number, start in enumerate(range(0, max(payload.size, 1), self._max_chunk)):
            buffers = {
                "payload": payload.slice(start, min(self._max_chunk, payload.size - start)),
                "params": params if number == 0 else pa.py_buffer(b""),
            }
            digests = {f"{column}_xxh3": digest(piece) for column, piece in buffers.items()}
            whole = {**row, "chunk": number, **digests}
            offsets = shard.rows.write(whole, **buffers)
            for (column, piece), offset in zip(buffers.items(), offsets, strict=True):
                where = offset if piece.size else 0  # so that no parameters are alike for all rows
                whole |= {f"{column}_offset": where, f"{column}_size": piece.size}
            shard.index.append(whole)
        self._shard_of[part, name] = shard

    def _shard(self, size: int) -> _Shard:
        """The file that the next so many bytes belong into."""
        if not self._shards or (
            self._shards[-1].index and self._shards[-1].rows.size + size > self._max_shard
        ):
            if self._beside is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._beside = self._open.enter_context(scratch(self._path))
            self._shards.append(_Shard(self._beside / f"{len(self._shards)}.parquet"))
        return self._shards[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
        except (OSError, pa.ArrowException) as fault:
            raise ModelSaveError(f"{self._path}: cannot be written: {fault}") from fault
        finally:
            for shard in self._shards:
                shard.drop()
            self._open.close()

    def _finish(self) -> None:
        """Write the footers, and let the files appear."""
        if not self._shards:
            self._shard(0)
        digests = [shard.close(self._card) for shard in self._shards]
        self.written = publish(self._path, [shard.path for shard in self._shards], digests)


@define
class _Shard:
    """A file that is being written."""

    path: Path
    rows: RowWriter = field(init=False)
    index: list[dict[str, Any]] = field(factory=list)
    tied: dict[str, str] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.rows = RowWriter(self.path)

    def close(self, card: bytes) -> str:
        """Write the footer, and give the digest of what it says."""
        index = write(self.index, self.tied)
        whole = digest(card + index)
        self.rows.close({CARD: card, INDEX: index, DIGEST: whole.encode()})
        return whole

    def drop(self) -> None:
        """Close the file, however far it came."""
        with suppress(OSError, pa.ArrowException):
            self.rows.abandon()


_PLAIN = {"group_size": 0, "scheme": "", "method": "", "layout": "", "param_fmt": ""}


def _packing(tensor: QuantizedTensor) -> dict[str, Any]:
    return {word: getattr(tensor, word) for word in PACKING}


def _buffer(tensor: Tensor) -> pa.Buffer:
    """The bytes of a tensor, not copied where it lies contiguous in main memory."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    if not flat.numel():
        return pa.py_buffer(b"")
    return pa.py_buffer(flat.view(torch.uint8).numpy())
