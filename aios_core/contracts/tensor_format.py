"""Formats of files of tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import field, frozen

from aios_core.contracts.quantizer import QuantizedTensor
from aios_core.errors import ModelSaveError

if TYPE_CHECKING:
    from torch import Tensor


@frozen
class TensorSource:
    """The tensors of a file, each read when it is asked for."""

    path: Path
    names: tuple[str, ...]
    get: Callable[[str], Tensor | QuantizedTensor]
    card: Mapping[str, Any]
    """What the file says besides: plain data."""
    parts: Mapping[str, Mapping[str, Tensor | QuantizedTensor]]
    """What else belongs to the model, by part; few formats have such."""
    tied: Mapping[str, str] = field(factory=dict)
    """Names whose tensor is that of another name, which is not among them."""

    def dense(self, target: Path, on_progress: Callable[[str], None]) -> dict[str, Tensor]:
        """All tensors by name, contiguous, for a format that has no quantized ones.

        Args:
            target: that is written, for errors.
            on_progress: called with the name of each tensor that is done.

        Raises:
            ModelLoadError: a tensor is damaged.
            ModelSaveError: one is quantized.
        """
        tensors: dict[str, Tensor] = {}
        for name in self.names:
            tensor = self.get(name)
            if isinstance(tensor, QuantizedTensor):
                raise ModelSaveError(
                    f"{target}: {name!r} is quantized, and {target.suffix} has no such thing; "
                    "expected a weight file, or `dequantize`"
                )
            tensors[name] = tensor.contiguous()
            on_progress(name)
        return tensors | {name: tensors[other] for name, other in self.tied.items()}


class TensorFormat(ABC):
    """Reads and writes files of tensors, bit for bit.

    Its registry name is the suffix of such files: ``safetensors`` is for ``.safetensors``, and
    ``safetensors-index-json`` for ``.safetensors.index.json``. It is built without values. Files
    are untrusted: nothing is unpickled, and sizes are checked before memory is taken. A whole
    format is in ``aios_core/scaffold/examples/tensor_format.py``.
    """

    reads_only: ClassVar[bool] = False
    """Whether it writes no files."""

    @abstractmethod
    def open(self, path: Path) -> TensorSource:
        """The tensors of a file.

        Raises:
            ModelLoadError: it is missing, damaged, or holds something else than tensors by name.
        """

    @abstractmethod
    def save(self, source: TensorSource, path: Path, on_progress: Callable[[str], None]) -> Path:
        """Write all tensors; a reader sees the whole file, or what was there before.

        Args:
            source: what to write.
            path: where.
            on_progress: called with the name of each tensor that is done.

        Returns:
            The file that opens it: `path`, or the index of several.

        Raises:
            ModelLoadError: a tensor of the source is damaged.
            ModelSaveError: the format has no such tensors, or it cannot be written.
        """

    def recognizes(self, head: bytes) -> bool:
        """Whether a file of another suffix is of this format.

        Args:
            head: its first 16 bytes, or all of them if there are fewer.
        """
        return False
