"""safetensors files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from safetensors import SafetensorError
from safetensors.torch import save_file

from aios_core.contracts import TensorFormat
from aios_core.contracts.tensor_format import TensorSource
from aios_core.errors import ModelSaveError
from aios_core.files import new_file
from aios_core.signatures import kind
from aios_plugins.tensor_formats._safetensors import opened


@frozen
class Safetensors(TensorFormat):
    """A safetensors file; its card is texts by name."""

    def open(self, path: Path) -> TensorSource:
        """The tensors of a file, mapped."""
        return opened(path)

    def save(self, source: TensorSource, path: Path, on_progress: Callable[[str], None]) -> Path:
        """Write each tensor, those that are one too, once for each name."""
        tensors = source.dense(path, on_progress)
        try:
            with new_file(path) as temporary:
                separate = {name: tensor.clone() for name, tensor in tensors.items()}
                save_file(separate, temporary, _words(source.card))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise ModelSaveError(f"{path}: cannot be written: {error}") from error
        return path

    def recognizes(self, head: bytes) -> bool:
        """By the length of a JSON object, and its first byte."""
        return kind(head) == "safetensors"


def _words(card: Mapping[str, Any]) -> dict[str, str]:
    """A card as safetensors holds one: texts by name."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in card.items()
    }
