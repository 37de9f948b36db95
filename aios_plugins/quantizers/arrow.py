"""Our own quantizer: searched scales, and products straight from packed codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, get_args

import attrs
import numpy as np
import torch
from attrs import Attribute, field, frozen, validators
from torch import Tensor

from aios_core.contracts import QuantizedTensor, Quantizer, Statistics
from aios_core.errors import QuantizationError
from aios_core.quantization.affine import check_matrix, check_weight
from aios_core.quantization.damage import damage
from aios_plugins._native import arrow_quant

if TYPE_CHECKING:
    from numpy.typing import NDArray

Bits = Literal[2, 3, 4, 8]

_ROW: Final = -1
"""How the bindings call a group that is a whole row."""


@frozen
class Arrow(Quantizer):
    """Groups whose scale and offset are searched, packed as the kernel reads them.

    On the CPU a product is computed on the codes, with x rounded to 8 bits a row by default;
    elsewhere the weight is expanded for each product.
    """

    method: ClassVar[str] = "arrow"

    bits: Bits = 4
    """Of a code. Two bits without calibration are experimental."""
    bits_per_weight: float | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.gt(0), validators.le(32))),
    )
    """What all quantized matrices of a model may take together, parameters included: each then has
    the bits that suit it instead of `bits`, wide where few would cost most."""
    group_size: int = field(default=64, validator=validators.in_((0, 16, 32, 64, 128)))
    """Columns that share a scale; 0: a whole row."""
    symmetric: bool = False
    """Without offsets, which saves their bits and costs accuracy."""
    param_format: Literal["f16", "u6", "u4"] = field(default="f16")
    """How scales and offsets are kept: as float16, or as 6 or 4 bits under float16 of their own."""
    quality: Literal["fast", "search", "calibrated"] = "search"
    """Round to nearest; least error of the weights, each column as important as its inputs are
    large where these are known; or least error of the outputs for the inputs that were seen."""
    activations: Literal["int8", "float32"] = "int8"
    """In which x is multiplied on the CPU."""

    @param_format.validator
    def _fits(self, attribute: Attribute[Any], value: str) -> None:
        if value == "f16":
            if self.group_size == 16:
                raise ValueError(
                    "f16 parameters would double groups of 16; expected u6 or u4 for these"
                )
        elif self.symmetric or self.bits == 8 or not self.group_size:
            raise ValueError(
                f"symmetric groups, 8 bits and whole rows have f16 parameters alone, got {value!r}"
            )

    @property
    def calibrated(self) -> bool:
        """Statistics decide how the weights are rounded, or how many bits each matrix has."""
        return self.quality == "calibrated" or self.bits_per_weight is not None

    def plan(self, weights: Iterable[tuple[str, Tensor, Statistics | None]]) -> Mapping[str, Self]:
        """The width of each matrix, where there is a budget; see the contract.

        Every width is tried on every matrix, and `damage` says what it costs.
        """
        if self.bits_per_weight is None:
            return {}
        widths = get_args(Bits) if self.param_format == "f16" else get_args(Bits)[:-1]
        tried = [attrs.evolve(self, bits=width, bits_per_weight=None) for width in widths]
        names: list[str] = []
        sizes, bits, lost = [], [], []
        for name, weight, statistics in weights:
            try:
                quantized = [quantizer.quantize(weight, statistics) for quantizer in tried]
            except QuantizationError as error:
                raise QuantizationError(f"{name}: {error}") from error
            if weight.numel():
                names.append(name)
                sizes.append(weight.numel())
                bits.append([tensor.bits_per_weight for tensor in quantized])
                lost.append(
                    [damage(weight, self.dequantize(tensor), statistics) for tensor in quantized]
                )
        try:
            chosen = arrow_quant.plan(sizes, bits, lost, budget=self.bits_per_weight)
        except arrow_quant.ArrowQuantError as error:
            raise QuantizationError(str(error)) from error
        return {name: tried[choice] for name, choice in zip(names, chosen, strict=True)}

    def quantize(self, weight: Tensor, statistics: Statistics | None = None) -> QuantizedTensor:
        """A matrix in few bits; see the contract."""
        if weight.dtype == torch.float64:  # the kernels know float32
            check_weight(weight)
        check_matrix(weight)
        if self.quality == "calibrated" and statistics is None:
            raise QuantizationError(
                "quality 'calibrated' needs statistics of the layer's inputs; expected a model and "
                "texts, or quality 'search'"
            )
        moment = None if statistics is None else statistics.second_moment.cpu().double()
        try:
            matrix = arrow_quant.QuantizedMatrix.quantize(
                _array(weight),
                bits=self.bits,
                group_size=self.group_size or _ROW,
                symmetric=self.symmetric,
                param_format=self.param_format,
                quality=self.quality,
                importance=None
                if moment is None or self.quality != "search"
                else moment.diagonal().float().numpy(),
                hessian=None if moment is None or self.quality != "calibrated" else moment.numpy(),
                threads=torch.get_num_threads(),
            )
        except arrow_quant.ArrowQuantError as error:
            raise QuantizationError(str(error)) from error
        return QuantizedTensor(
            codes=torch.from_numpy(np.array(matrix.codes)).to(weight.device),
            params=torch.from_numpy(np.array(matrix.params)).to(weight.device),
            shape=tuple(weight.shape),
            dtype=str(weight.dtype).removeprefix("torch."),
            bits=self.bits,
            group_size=self.group_size,
            scheme="symmetric" if self.symmetric else "asymmetric",
            method=self.method,
            layout=arrow_quant.LAYOUT,
            param_fmt=matrix.param_format,
        )

    def dequantize(self, tensor: QuantizedTensor) -> Tensor:
        """The matrix again; see the contract."""
        weight = _matrix(tensor).dequantize(threads=torch.get_num_threads())
        return torch.from_numpy(weight).to(tensor.codes.device)

    def linear(self, x: Tensor, tensor: QuantizedTensor) -> Tensor:
        """``x @ W.T`` on the codes, where they are in main memory; see the contract."""
        if x.device.type != "cpu":
            return super().linear(x, tensor)
        rows, columns = tensor.shape
        flat = x.detach().reshape(-1, columns).float().contiguous()
        y = torch.empty(len(flat), rows)
        try:
            _matrix(tensor).linear(
                flat.numpy(),
                activations=self.activations,
                out=y.numpy(),
                threads=torch.get_num_threads(),
            )
        except arrow_quant.ArrowQuantError as error:
            raise QuantizationError(str(error)) from error
        return y.reshape(*x.shape[:-1], rows).to(x.dtype)


def _array(weight: Tensor) -> NDArray[Any]:
    """A weight as the bindings take it: bfloat16 as its bits, for numpy has no such type."""
    weight = weight.detach().cpu().contiguous()
    if weight.dtype == torch.bfloat16:
        return weight.view(torch.uint16).numpy()
    return (weight if weight.dtype == torch.float16 else weight.float()).numpy()


def _matrix(tensor: QuantizedTensor) -> arrow_quant.QuantizedMatrix:
    """The bytes of a tensor as the kernels see them; on the CPU nothing is copied."""
    if tensor.layout != arrow_quant.LAYOUT or len(tensor.shape) != 2:
        raise QuantizationError(
            f"expected a matrix in the layout {arrow_quant.LAYOUT!r}, got shape {tensor.shape} in "
            f"{tensor.layout!r:.40}; a newer version of ai-os-diffusion may have written it"
        )
    try:
        return arrow_quant.QuantizedMatrix.from_buffers(
            tensor.codes.cpu().contiguous().numpy(),
            tensor.params.cpu().contiguous().numpy(),
            shape=(tensor.shape[0], tensor.shape[1]),
            bits=tensor.bits,
            group_size=tensor.group_size or _ROW,
            symmetric=tensor.scheme == "symmetric",
            param_format=tensor.param_fmt,
        )
    except (arrow_quant.ArrowQuantError, OverflowError) as error:
        raise QuantizationError(str(error)) from error
