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
WITH_EXPONENTS: Final = "f16+e8"
"""The same with a power of two for each row, for rows that float16s alone would lose."""

LARGEST: Final = 2.0**126
"""Of a weight: what it becomes may be a little larger, and float32 ends at four times this."""

_NORMAL: Final = 2.0**-14
"""The smallest float16 of full precision."""
_MOST: Final = 65504.0
_TOP: Final = 13
"""The largest weight of a row that `AffineQuantizer.fit` sees is from 2^_TOP to twice that."""


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
                weight is repeated. Each row is scaled by a power of two, so that its largest
                weight is from 2^13 to 2^14 and float16 holds scales and offsets to full precision.
            statistics: of the layer's inputs, where they are known.
        """

    def quantize(self, weight: Tensor, statistics: Statistics | None = None) -> QuantizedTensor:
        """A matrix in few bits; see the contract."""
        check_weight(weight)
        weight = weight.detach()
        rows, columns = weight.shape
        size = self.group_size or max(columns, 1)
        if weight.numel():
            exponents = _exponents(weight)
            scaled = torch.ldexp(
                weight if weight.dtype == torch.float64 else weight.float(), -exponents
            )
            fitted = self.fit(grouped(scaled.float(), size), statistics)
            params, param_fmt = _stored(fitted, exponents)
        else:
            fitted = Affine(weight.new_zeros(rows, 0, 1), *weight.new_zeros(2, rows, 0).float())
            params, param_fmt = torch.empty(0, dtype=torch.uint8, device=weight.device), PARAM_FMT
        return QuantizedTensor(
            codes=pack(fitted.codes.flatten(1)[:, :columns], self.bits).flatten(),
            params=params,
            shape=(rows, columns),
            dtype=str(weight.dtype).removeprefix("torch."),
            bits=self.bits,
            group_size=self.group_size,
            scheme="symmetric" if fitted.offset is None else "asymmetric",
            method=self.method,
            layout=LAYOUT,
            param_fmt=param_fmt,
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
            "expected a matrix of floating numbers, got "
            f"{str(weight.dtype).removeprefix('torch.')} of shape {tuple(weight.shape)}"
        )


def check_weight(weight: Tensor) -> None:
    """Raise unless a weight is a matrix of finite numbers that float32 holds.

    Raises:
        QuantizationError: it is not; naming row and column.
    """
    check_matrix(weight)
    size = weight.detach()
    size = (size if size.dtype == torch.float64 else size.float()).abs()
    sound = size <= LARGEST
    if not sound.all():
        row, column = (~sound).nonzero()[0].tolist()
        value = float(weight.detach()[row, column])
        raise QuantizationError(
            f"row {row}, column {column} is {value:.6g}; expected finite numbers of at most "
            f"{LARGEST:.2g}"
        )
    if size.dtype == torch.float64 and size.numel():
        least = torch.finfo(torch.float32).tiny
        reach = size.amax(1)
        lost = (reach > 0) & (reach < least)
        if lost.any():
            row = int(lost.nonzero()[0])
            raise QuantizationError(
                f"row {row} has no weight larger than {float(reach[row]):.3g}, which float32 does "
                f"not hold; expected zeros alone, or a weight of at least {least:.2g}"
            )


def _exponents(weight: Tensor) -> Tensor:
    """(rows, 1) int32: of the powers of two that rows are divided by before they are fitted."""
    size = weight if weight.dtype == torch.float64 else weight.float()
    reach = size.abs().amax(1, keepdim=True)
    exponent = torch.frexp(reach).exponent - 1 - _TOP
    return exponent.clamp(-126, 127).where(reach > 0, 0)


def _stored(affine: Affine, exponents: Tensor) -> tuple[Tensor, str]:
    """The bytes of the parameters of scaled rows, and their format.

    A row whose parameters are float16s of full precision without an exponent is stored so; where
    all are, there are no exponents.

    Raises:
        QuantizationError: an offset is far beyond the weights; naming the row.
    """
    scale, offset = affine.scale, affine.offset
    own = [scale] if offset is None else [scale, offset]
    real = [torch.ldexp(params, exponents) for params in own]
    # Beside a scale of full precision an offset is off by less than a step in 2000.
    fine = real[0].abs() >= _NORMAL
    fine |= (real[0] == 0) & ((real[-1] == 0) | (real[-1].abs() >= _NORMAL))
    plain = (
        torch.stack([fine, *(params.abs() <= _MOST for params in real)]).all(0).all(1, keepdim=True)
    )
    halves = torch.cat([a.where(plain, b).reshape(-1) for a, b in zip(real, own, strict=True)])
    params = halves.half()
    if not params.isfinite().all():
        row = int((~params.isfinite()).reshape(len(own), *scale.shape).any(0).any(1).nonzero()[0])
        raise QuantizationError(
            f"row {row}: a scale or an offset is {float(halves.abs().max()):.3g} times what the "
            f"weights of the row are scaled by; expected at most {_MOST:g}, which float16 holds"
        )
    data = params.view(torch.uint8)
    if plain.all():
        return data, PARAM_FMT
    kept = exponents.where(~plain, 0).reshape(-1).to(torch.int8)
    return torch.cat((data, kept.view(torch.uint8))), WITH_EXPONENTS


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
    known = (PARAM_FMT, WITH_EXPONENTS)
    if tensor.layout != LAYOUT or tensor.param_fmt not in known or len(tensor.shape) != 2:
        raise QuantizationError(
            f"expected a matrix in the layout {LAYOUT!r} with parameters in {' or '.join(known)}, "
            f"got shape {tensor.shape}, {tensor.layout!r:.40} with {tensor.param_fmt!r:.40}; a "
            "newer version of ai-os-diffusion may have written it"
        )
    rows, columns = tensor.shape
    size = tensor.group_size or max(columns, 1)
    width, groups = -(-columns * tensor.bits // 8), -(-columns // size)
    several = 2 if tensor.scheme == "asymmetric" else 1
    halves = 2 * several * rows * groups
    powers = rows if tensor.param_fmt == WITH_EXPONENTS else 0
    expected = (rows * width, halves + powers)
    actual = (tensor.codes.numel(), tensor.params.numel())
    if actual != expected or not 1 <= tensor.bits <= 8:
        raise QuantizationError(
            f"{tensor.bits} bits of shape {tensor.shape} in groups of {size} take {expected} bytes "
            f"of codes and parameters, got {actual}"
        )
    if not rows * columns:
        return torch.zeros(rows, columns, device=tensor.codes.device)
    params = tensor.params[:halves].clone().view(torch.float16).float()
    params = params.reshape(several, rows, groups, 1)
    offset = params[1] if several == 2 else -params[0] * 2 ** (tensor.bits - 1)
    codes = unpack(tensor.codes.reshape(rows, width), columns, tensor.bits).float()
    weight = (params[0] * grouped(codes, size) + offset).reshape(rows, -1)[:, :columns]
    if powers:
        weight = torch.ldexp(weight, tensor.params[halves:].view(torch.int8)[:, None])
    return weight
