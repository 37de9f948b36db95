"""``aios::quantized_linear``: the product with a packed matrix as an operator of torch.

`torch.compile` and `torch.export` keep it as one node. What it needs besides tensors is a text, so
that an exported program is whole in itself.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import attrs
import torch
from torch import Tensor

from aios_core.contracts import QuantizedTensor, Quantizer
from aios_core.errors import AIOSError, QuantizationError
from aios_core.registry import Registry

if TYPE_CHECKING:
    from attrs import AttrsInstance
    from torch.autograd.function import FunctionCtx

_WORDS = ("shape", "dtype", "bits", "group_size", "scheme", "method", "layout", "param_fmt")


def describe(tensor: QuantizedTensor, quantizer: Quantizer | None = None) -> str:
    """All of a quantized tensor but its bytes, and how its quantizer is set, as JSON.

    Args:
        tensor: what is described.
        quantizer: the one that shall compute; None: of the tensor's method, with its defaults.
    """
    packing = {word: getattr(tensor, word) for word in _WORDS}
    settings = {} if quantizer is None else attrs.asdict(cast("AttrsInstance", quantizer))
    return json.dumps({"packing": packing, "settings": settings}, sort_keys=True)


def tensor(packing: str, codes: Tensor, params: Tensor) -> QuantizedTensor:
    """What `describe` described, with its bytes."""
    return QuantizedTensor(codes=codes, params=params, **_parsed(packing)[1])


@torch.library.custom_op("aios::quantized_linear", mutates_args=())
def quantized_linear(x: Tensor, codes: Tensor, params: Tensor, rows: int, packing: str) -> Tensor:
    """``x @ W.T`` for a packed W.

    Args:
        x: (..., columns) of a floating type.
        codes: (n,) uint8.
        params: (m,) uint8.
        rows: of W.
        packing: see `describe`.

    Returns:
        (..., rows) in the type of x.

    Raises:
        QuantizationError: x does not fit W, the bytes are damaged, or no quantizer reads them.
    """
    quantizer, words = _parsed(packing)
    if words["shape"] != (rows, x.shape[-1]):
        raise QuantizationError(f"expected x of {words['shape'][1]} columns, got {tuple(x.shape)}")
    return quantizer.linear(x, QuantizedTensor(codes=codes, params=params, **words))


@quantized_linear.register_fake
def _(x: Tensor, codes: Tensor, params: Tensor, rows: int, packing: str) -> Tensor:  # noqa: ARG001
    return x.new_empty((*x.shape[:-1], rows))


def _keep(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
    _, codes, params, _, ctx.packing = inputs  # type: ignore[attr-defined]
    ctx.save_for_backward(codes, params)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """The gradient of x, through the matrix as it is dequantized; the codes have none."""
    codes, params = ctx.saved_tensors
    quantizer, words = _parsed(ctx.packing)
    weight = quantizer.dequantize(QuantizedTensor(codes=codes, params=params, **words))
    if gradient.dtype == torch.float16:  # which does not hold every weight that float32 holds
        return (gradient.float() @ weight).half(), None, None, None, None
    return gradient @ weight.to(gradient.dtype), None, None, None, None


quantized_linear.register_autograd(_backward, setup_context=_keep)


def reader(method: str) -> Quantizer:
    """The quantizer that reads what a method wrote.

    Raises:
        QuantizationError: none of that name is installed, or it cannot be used.
    """
    return _reader(method, "{}")


@lru_cache(maxsize=4096)
def _parsed(packing: str) -> tuple[Quantizer, dict[str, Any]]:
    values = json.loads(packing)
    words = {**values["packing"], "shape": tuple(values["packing"]["shape"])}
    return _reader(words["method"], json.dumps(values["settings"])), words


@lru_cache(maxsize=64)
def _reader(method: str, settings: str) -> Quantizer:
    try:
        cls = Registry.discover().get("quantizer", method).load()
        quantizer: Quantizer = cls(**json.loads(settings))
    except AIOSError as error:
        raise QuantizationError(f"nothing reads what {method!r:.40} wrote: {error}") from error
    return quantizer
