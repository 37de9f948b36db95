"""torch's files of state dicts.

Nothing is unpickled but tensors: they are read by torch's loader of weights alone.
"""

from __future__ import annotations

import pickle
import struct
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import TensorFormat
from aios_core.contracts.tensor_format import TensorSource
from aios_core.errors import ModelLoadError, ModelSaveError
from aios_core.files import new_file
from aios_core.signatures import kind

_DAMAGED: Final = (
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    struct.error,
)
"""What torch's loader raises of files whose bytes have changed."""


@frozen
class TorchFile(TensorFormat):
    """What ``torch.save`` writes of tensors by name."""

    def save(self, source: TensorSource, path: Path, on_progress: Callable[[str], None]) -> Path:
        """Write them; tensors that are one stay one."""
        tensors = source.dense(path, on_progress)
        try:
            with new_file(path) as temporary:
                torch.save(tensors, temporary)
        except (OSError, RuntimeError) as error:
            raise ModelSaveError(f"{path}: cannot be written: {error}") from error
        return path

    def recognizes(self, head: bytes) -> bool:
        """A zip archive, or a pickle as torch began it before 2020."""
        return kind(head) == "torch"

    def open(self, path: Path) -> TensorSource:
        """The tensors of a file, mapped."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of sparse tensors, which are refused
                content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (OSError, EOFError, pickle.UnpicklingError, *_DAMAGED) as error:
            # torch says how to unpickle all the same.
            said = "" if isinstance(error, pickle.UnpicklingError) else str(error).strip()
            reason = said.partition("\n")[0] or type(error).__name__
            raise ModelLoadError(
                f"{path}: is not a torch file that holds tensors alone: {reason}"
            ) from error
        if not isinstance(content, Mapping) or not content:
            raise ModelLoadError(
                f"{path}: holds a {type(content).__name__}; expected tensors by name"
            )
        for name, value in content.items():
            if isinstance(value, Tensor) and (value.layout != torch.strided or value.is_quantized):
                own = value.dtype if value.is_quantized else value.layout
                raise ModelLoadError(
                    f"{path}: {name!r:.80} is a tensor of {own}; expected dense tensors: save "
                    f"{'.dequantize()' if value.is_quantized else '.to_dense()'} of it"
                )
            if not isinstance(name, str) or not isinstance(value, Tensor):
                inside = next(
                    (key for key, value in content.items() if isinstance(value, Mapping)), None
                )
                hint = f"; {inside!r} may be the state dict: save that alone" if inside else ""
                raise ModelLoadError(
                    f"{path}: {name!r:.80} is a {type(value).__name__}; expected tensors by name"
                    f"{hint}"
                )
        return TensorSource(path, tuple(content), content.__getitem__, {}, {}, _tied(content))


def _tied(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Names after the first of tensors that are one: of the same memory, seen in the same way."""
    first: dict[tuple[Any, ...], str] = {}
    tied = {}
    for name, tensor in tensors.items():
        key = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() and first.setdefault(key, name) != name:
            tied[name] = first[key]
    return tied
