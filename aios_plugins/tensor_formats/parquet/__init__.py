"""Weights in Parquet: files that any Arrow reader opens, and that start a model at once.

FORMAT.md in this folder is the specification, with the promise that it makes. The commands that
look into such files use `loader`, `layout` and `verify`; for the tensors of any file there is
`aios_core.formats.open_tensors`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from aios_core.contracts import TensorFormat
from aios_core.contracts.tensor_format import TensorSource
from aios_core.signatures import kind


@frozen
class Parquet(TensorFormat):
    """A weight file, quantized or not, or an index of several."""

    def open(self, path: Path) -> TensorSource:
        """The tensors of a file, mapped, each held against its digest when it is read."""
        from aios_plugins.tensor_formats.parquet.loader import WeightLoader

        loader = WeightLoader.open(path)
        parts = {part for file in loader.files for part, _ in file.entries}
        others = {part: loader.part(part) for part in sorted(parts - {"weights"})}
        tied = loader.tied
        return TensorSource(path, tuple(loader), loader.__getitem__, loader.card, others, tied)

    def save(self, source: TensorSource, path: Path, on_progress: Callable[[str], None]) -> Path:
        """Write it, in shards where it is too large for one file."""
        from aios_plugins.tensor_formats.parquet.writer import WeightWriter

        with WeightWriter(path, source.card) as file:
            for name in source.names:
                if name not in source.tied:
                    file.add(name, source.get(name))
                    on_progress(name)
            for name, other in source.tied.items():
                file.tie(name, other)
                on_progress(name)
            for part, loader in source.parts.items():
                for name in loader:
                    file.add(name, loader[name], part)
        return file.written

    def recognizes(self, head: bytes) -> bool:
        """By its first bytes."""
        return kind(head) == "Parquet"
