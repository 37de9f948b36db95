"""Reading a safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from aios_core.contracts.tensor_format import TensorSource
from aios_core.errors import ModelLoadError


def opened(path: Path) -> TensorSource:
    """The tensors of a safetensors file.

    Raises:
        ModelLoadError: it is missing or damaged.
    """
    try:
        file: Any = safe_open(path, framework="pt")
        card = dict(file.metadata() or {})
        return TensorSource(path, tuple(file.keys()), file.get_tensor, card, {})
    except (OSError, SafetensorError) as error:
        raise ModelLoadError(f"{path}: is not a safetensors file: {error}") from error
