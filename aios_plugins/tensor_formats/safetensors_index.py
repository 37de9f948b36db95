"""The index of several safetensors files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from attrs import frozen

from aios_core import strict_json
from aios_core.contracts import TensorFormat
from aios_core.contracts.tensor_format import TensorSource
from aios_core.errors import ModelLoadError, ModelSaveError
from aios_plugins.tensor_formats._safetensors import opened


@frozen
class SafetensorsIndex(TensorFormat):
    """The index that Hugging Face's libraries write beside shards; it is read, and not written."""

    reads_only: ClassVar = True

    def save(self, source: TensorSource, path: Path, on_progress: Callable[[str], None]) -> Path:
        """Refuse it."""
        raise ModelSaveError(
            f"{path}: an index of shards is only read; expected a name that ends with .safetensors"
        )

    def open(self, path: Path) -> TensorSource:
        """The tensors of all its shards, which lie beside it."""
        try:
            where = strict_json.loads(path.read_text(encoding="utf-8"))["weight_map"]
            files = [name for name in dict.fromkeys(where.values()) if Path(name).name == name]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelLoadError(f"{path}: is not an index of shards: {error!r:.200}") from error
        shards = {name: opened(path.with_name(name)) for name in files}
        held = {name: set(shard.names) for name, shard in shards.items()}
        for name, shard in where.items():
            if shard not in held or name not in held[shard]:
                raise ModelLoadError(f"{path}: {name!r} is not in a file {shard!r} beside it")
        for shard, names in held.items():
            if unnamed := sorted(name for name in names if where.get(name) != shard):
                raise ModelLoadError(
                    f"{path}: {shard} holds {unnamed[0]!r} ({len(unnamed)} such tensors), which "
                    "the index does not say; expected an index that names every tensor of its files"
                )
        card: dict[str, Any] = {}
        for shard in shards.values():
            card |= shard.card
        return TensorSource(
            path, tuple(where), lambda name: shards[where[name]].get(name), card, {}
        )
