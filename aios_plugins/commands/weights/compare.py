"""Where two files of tensors differ, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from aios_core.contracts import QuantizedTensor

if TYPE_CHECKING:
    from aios_core.contracts import TensorSource


def differences(
    a: TensorSource, b: TensorSource, on_progress: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[str, str]]:
    """Names of tensors that two files do not share bit for bit, each with the difference.

    Args:
        a: the first.
        b: the second.
        on_progress: called with each name that was compared.

    Yields:
        In the order of the names.
    """
    first, second = set(a.names), set(b.names)
    for name in sorted(first | second):
        if name not in second:
            yield name, "only in the first"
        elif name not in first:
            yield name, "only in the second"
        elif difference := _difference(a.get(name), b.get(name)):
            yield name, difference
        on_progress(name)


def _difference(a: Tensor | QuantizedTensor, b: Tensor | QuantizedTensor) -> str | None:
    if isinstance(a, QuantizedTensor) or isinstance(b, QuantizedTensor):
        return _packing_difference(a, b)
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return f"{_describe(a)}, and {_describe(b)}"
    differ = (_bits(a) != _bits(b)).any(-1)
    if not differ.any():
        return None
    a, b = (tensor.resolve_conj().resolve_neg().reshape(-1)[differ] for tensor in (a, b))
    return f"{len(a)} of {len(differ)} values differ{_amount(a, b)}"


def _amount(a: Tensor, b: Tensor) -> str:
    """By how much values differ, of which each pair differs in some bit."""
    if a.dtype == torch.bool:
        return ""
    if not (a.is_floating_point() or a.is_complex()):
        return f", by at most {_integers(a, b)}"
    wide = torch.complex128 if a.is_complex() else torch.float64
    a, b = a.to(wide), b.to(wide)
    lost = (a.isnan(), b.isnan())
    both, either = lost[0] & lost[1], lost[0] ^ lost[1]
    zeros = a == b
    size = (a - b)[~(both | either | zeros)].abs()
    parts = [f"by at most {float(size.max()):.3g}"] if len(size) else []
    parts += [f"{int(either.sum())} where one of both is nan"] if either.any() else []
    parts += [f"{int(both.sum())} in the bits of nan alone"] if both.any() else []
    parts += [f"{int(zeros.sum())} in the sign of zero alone"] if zeros.any() else []
    return "".join(f", {part}" for part in parts)


def _integers(a: Tensor, b: Tensor) -> int:
    """The largest difference, exactly: it may not fit the type."""
    first, second = a.numpy(), b.numpy()
    high, low = np.maximum(first, second), np.minimum(first, second)
    wide = np.uint64 if first.dtype == np.uint64 else np.int64
    return int((high.astype(wide).view(np.uint64) - low.astype(wide).view(np.uint64)).max())


def _packing_difference(a: Any, b: Any) -> str | None:
    if not (isinstance(a, QuantizedTensor) and isinstance(b, QuantizedTensor)):
        return f"{_describe(a)}, and {_describe(b)}"
    words = ("shape", "dtype", "bits", "group_size", "scheme", "method", "layout", "param_fmt")
    for word in words:
        if getattr(a, word) != getattr(b, word):
            return f"{word} {getattr(a, word)}, and {getattr(b, word)}"
    for word in ("codes", "params"):
        if not torch.equal(getattr(a, word), getattr(b, word)):
            return f"the {word} differ"
    return None


def _describe(tensor: Tensor | QuantizedTensor) -> str:
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    if isinstance(tensor, QuantizedTensor):
        return f"{tensor.method} in {tensor.bits} bits {shape}"
    return f"{str(tensor.dtype).removeprefix('torch.')} {shape}"


def _bits(tensor: Tensor) -> Tensor:
    """(n, bytes of a value) uint8."""
    flat = tensor.resolve_conj().resolve_neg().contiguous().reshape(-1)
    return flat.view(torch.uint8).reshape(len(flat), tensor.element_size())
