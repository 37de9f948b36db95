"""Files of tensors in few bits, and back, without a model that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import attrs
import torch
from torch import Tensor

from aios_core.contracts import QuantizedTensor
from aios_core.errors import QuantizationError
from aios_core.quantization.operator import reader

if TYPE_CHECKING:
    from aios_core.contracts import Quantizer, Statistics, TensorSource

EXCLUDED: Final = ("*embed*", "*wte*", "*wpe*", "*norm*", "*lm_head*")
"""Names of matrices that are not linear layers, or are the same as an embedding, as most name
them."""


def quantized(
    source: TensorSource,
    quantizer: Quantizer,
    exclude: Sequence[str] = EXCLUDED,
    measured: Callable[[str], None] = lambda _: None,
) -> TensorSource:
    """A source whose matrices are quantized as they are read.

    Args:
        source: where the tensors come from; those that are quantized already stay as they are.
        quantizer: how; what it plans, it plans here.
        exclude: patterns, as of file names, of the tensors that stay as they are. All that are no
            matrices, or whose names do not end in ``weight``, stay so too.
        measured: called with the name of each tensor that a plan looks at.

    Raises:
        QuantizationError: a budget is too small, or a matrix that a plan looks at is not finite.
    """

    def fits(name: str, tensor: Tensor) -> bool:
        return (
            tensor.ndim == 2
            and tensor.dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64)
            and _asked(name, exclude)
        )

    tied = {
        name: other
        for name, other in source.tied.items()
        if _asked(name, exclude) == _asked(other, exclude)
    }

    def weights() -> Iterator[tuple[str, Tensor, Statistics | None]]:
        for name in source.names:
            if name in tied:
                continue
            tensor = source.get(name)
            if isinstance(tensor, Tensor) and fits(name, tensor):
                yield name, tensor, None
                measured(name)

    try:
        planned = quantizer.plan(weights())
    except QuantizationError as error:
        raise QuantizationError(f"{source.path}: {error}") from error

    def get(name: str) -> Tensor | QuantizedTensor:
        tensor = source.get(name)
        if isinstance(tensor, QuantizedTensor) or not fits(name, tensor):
            return tensor
        try:
            return planned.get(name, quantizer).quantize(tensor)
        except QuantizationError as error:
            raise QuantizationError(f"{source.path}: {name}: {error}") from error

    return attrs.evolve(source, get=get, tied=tied)


def _asked(name: str, exclude: Sequence[str]) -> bool:
    """Whether a matrix of this name is to be quantized."""
    return name.endswith("weight") and not any(fnmatchcase(name, pattern) for pattern in exclude)


def dequantized(source: TensorSource) -> TensorSource:
    """A source whose quantized tensors are expanded, in the type that they once had."""

    def get(name: str) -> Tensor:
        tensor = source.get(name)
        if not isinstance(tensor, QuantizedTensor):
            return tensor
        try:
            matrix = reader(tensor.method).dequantize(tensor)
        except QuantizationError as error:
            raise QuantizationError(f"{source.path}: {name}: {error}") from error
        return matrix.to(getattr(torch, tensor.dtype))

    return attrs.evolve(source, get=get)
