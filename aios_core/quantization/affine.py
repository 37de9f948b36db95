"""Groups of weights as ``scale * code + offset``: the layout ``rows`` of weight files.

A quantizer that has no layout of its own writes `AffineQuantizer.fit` and has the rest from here.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final

import torch
from attrs import field, frozen, validators

from aios_core.contracts import QuantizedTensor, Quantizer
from aios_core.errors import QuantizationError

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Statistics

LAYOUT: Final = "rows"
PARAM_FMT: Final = "f16"


@frozen(eq=False)
class Affine:
    """A matrix as codes, and the scale and offset of each of its groups."""

    codes: Tensor
    """(rows, groups, size) integers from 0 to 2^bits - 1."""
    scale: Tensor
    """(rows, groups)."""
    offset: Tensor | None = None
    """(rows, groups); None where it is ``-scale * 2^(bits - 1)``."""


@frozen
class AffineQuantizer(Quantizer):
    """A quantizer whose codes are evenly spaced within each group."""

    method: ClassVar[str]
    """Registry name."""

    bits: int = field(default=4, validator=[validators.ge(1), validators.le(8)])
    """Of a code."""
    group_size: int = field(default=64, validator=[validators.ge(0), validators.le(2**20)])
    """Columns that share a scale; 0: a whole row."""

    @abstractmethod
    def fit(self, groups: Tensor, statistics: Statistics | None) -> Affine:
        """Codes and parameters of the groups of a matrix.

        Args:
            groups: (rows, groups, size) float32, finite; where a last group was shorter, its last
                weight is repeated.
            statistics: of the layer's inputs, where they are known.
        """

    def quantize(self, weight: Tensor, statistics: Statistics | None = None) -> QuantizedTensor:
        """A matrix in few bits; see the contract."""
        check_weight(weight)
        weight = weight.detach()
        rows, columns = weight.shape
        size = self.group_size or max(columns, 1)
        if weight.numel():
            found = self.fit(grouped(weight.float(), size), statistics)
        else:
            found = Affine(weight.new_zeros(rows, 0, 1), *weight.new_zeros(2, rows, 0).float())
        parameters = [found.scale] if found.offset is None else [found.scale, found.offset]
        params = torch.cat([one.reshape(-1) for one in parameters]).half()
        if not params.isfinite().all():
            raise QuantizationError(
                f"a scale or an offset is beyond float16: the weights reach "
                f"{float(weight.abs().max()):.3g}; want at most 65504"
            )
        return QuantizedTensor(
            codes=pack(found.codes.flatten(1)[:, :columns], self.bits).flatten(),
            params=params.view(torch.uint8),
            shape=(rows, columns),
            dtype=str(weight.dtype).removeprefix("torch."),
            bits=self.bits,
            group_size=self.group_size,
            scheme="symmetric" if found.offset is None else "asymmetric",
            method=self.method,
            layout=LAYOUT,
            param_fmt=PARAM_FMT,
        )

    def dequantize(self, tensor: QuantizedTensor) -> Tensor:
        """The matrix again; see the contract."""
        return dequantize(tensor)


def check_matrix(weight: Tensor) -> None:
    """Raise unless a weight is a matrix.

    Raises:
        QuantizationError: it is none, or not of a floating type.
    """
    if weight.ndim != 2 or not weight.is_floating_point():
        raise QuantizationError(
            f"want a matrix of floating numbers, got {str(weight.dtype).removeprefix('torch.')} of "
            f"shape {tuple(weight.shape)}"
        )


def check_weight(weight: Tensor) -> None:
    """Raise unless a weight is a matrix of finite numbers.

    Raises:
        QuantizationError: it is not; naming row and column.
    """
    check_matrix(weight)
    finite = weight.isfinite()
    if not finite.all():
        row, column = (~finite).nonzero()[0].tolist()
        value = float(weight.detach()[row, column])
        raise QuantizationError(f"row {row}, column {column} is {value}; want finite weights")


def grouped(weight: Tensor, size: int) -> Tensor:
    """(rows, columns) as (rows, groups, size); a last group is filled by its last weight.

    The only group of a row is as long as the row.
    """
    rows, columns = weight.shape
    size = min(size, max(columns, 1))
    lacking = -columns % size
    if lacking and columns:
        weight = torch.cat((weight, weight[:, -1:].expand(rows, lacking)), 1)
    return weight.reshape(rows, -(-columns // size), size)


def pack(codes: Tensor, bits: int) -> Tensor:
    """(rows, columns) codes as (rows, ceil(columns * bits / 8)) bytes, low bits first."""
    rows, columns = codes.shape
    places = torch.arange(bits, device=codes.device, dtype=torch.uint8)
    stream = ((codes.to(torch.uint8)[..., None] >> places) & 1).reshape(rows, columns * bits)
    stream = torch.nn.functional.pad(stream, (0, -columns * bits % 8))
    stream = stream.reshape(rows, -(-columns * bits // 8), 8)
    places = torch.arange(8, device=codes.device, dtype=torch.uint8)
    return (stream << places).sum(-1, dtype=torch.uint8)


def unpack(packed: Tensor, columns: int, bits: int) -> Tensor:
    """What `pack` packed, (rows, columns) uint8."""
    places = torch.arange(8, device=packed.device, dtype=torch.uint8)
    stream = ((packed[..., None] >> places) & 1).flatten(1)[:, : columns * bits]
    stream = stream.reshape(len(packed), columns, bits)
    return (stream << places[:bits]).sum(-1, dtype=torch.uint8)


def dequantize(tensor: QuantizedTensor) -> Tensor:
    """The matrix of a tensor in this layout, (rows, columns) float32.

    Raises:
        QuantizationError: its bytes are not as many as its shape asks for, or of another layout.
    """
    if (tensor.layout, tensor.param_fmt) != (LAYOUT, PARAM_FMT) or len(tensor.shape) != 2:
        raise QuantizationError(
            f"want a matrix in the layout {LAYOUT!r} with {PARAM_FMT} parameters, got shape "
            f"{tensor.shape}, {tensor.layout!r:.40} with {tensor.param_fmt!r:.40}"
        )
    rows, columns = tensor.shape
    size = tensor.group_size or max(columns, 1)
    width, groups = -(-columns * tensor.bits // 8), -(-columns // size)
    several = 2 if tensor.scheme == "asymmetric" else 1
    wanted = (rows * width, 2 * several * rows * groups)
    found = (tensor.codes.numel(), tensor.params.numel())
    if found != wanted or not 1 <= tensor.bits <= 8:
        raise QuantizationError(
            f"{tensor.bits} bits of shape {tensor.shape} in groups of {size} take {wanted} bytes "
            f"of codes and parameters, got {found}"
        )
    if not rows * columns:
        return torch.zeros(rows, columns, device=tensor.codes.device)
    params = tensor.params.clone().view(torch.float16).float().reshape(several, rows, groups, 1)
    offset = params[1] if several == 2 else -params[0] * 2 ** (tensor.bits - 1)
    codes = unpack(tensor.codes.reshape(rows, width), columns, tensor.bits).float()
    weight = params[0] * grouped(codes, size) + offset
    return weight.reshape(rows, -1)[:, :columns]
