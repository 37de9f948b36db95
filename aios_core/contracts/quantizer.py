"""Quantizers: weights in few bits, and products straight from them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from attrs import frozen

if TYPE_CHECKING:
    from torch import Tensor

Scheme = Literal["symmetric", "asymmetric"]
"""Whether a group has a scale alone, or an offset too."""


@frozen(eq=False)
class QuantizedTensor:
    """A matrix in few bits: packed codes, the parameters of its groups, and how to read them.

    The bytes are those of a weight file, so that a mapped file is used as it lies.
    """

    codes: Tensor
    """(n,) uint8: the packed codes."""
    params: Tensor
    """(m,) uint8: bytes of the scales, and of the offsets where there are any."""
    shape: tuple[int, ...]
    """Of the matrix: (rows, columns), as `torch.nn.Linear.weight` has it."""
    dtype: str
    """Of the matrix before, as torch names it: ``"float32"``."""
    bits: int
    """Of a code."""
    group_size: int
    """Columns that share parameters; 0: a whole row."""
    scheme: Scheme
    method: str
    """Registry name of the quantizer that reads it."""
    layout: str
    """How codes are packed, in that quantizer's own words."""
    param_fmt: str
    """How parameters are stored, in the same."""

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, parameters included."""
        return self.codes.numel() + self.params.numel()

    @property
    def bits_per_weight(self) -> float:
        """Bits a weight, parameters included; NaN for a matrix of no weights."""
        count = math.prod(self.shape)
        return 8 * self.nbytes / count if count else math.nan


@frozen(eq=False)
class Statistics:
    """What went into a layer while a model worked: second moments of its input."""

    second_moment: Tensor
    """(columns, columns) float32: mean of x x^T over all inputs x."""
    count: int
    """Inputs that it is the mean of."""


class Quantizer(ABC):
    """Turns matrices into few bits, and multiplies by them.

    Fields such as ``bits`` say how `quantize` works. What it made says itself how it is read, so an
    instance built from defaults reads what any other instance of its class made.
    """

    changes: ClassVar[bool] = True
    """Whether a weight changes at all; a model is left as it is by one that says no."""

    @property
    def calibrated(self) -> bool:
        """Whether `quantize` takes statistics, which take a while to gather."""
        return False

    def plan(self, weights: Iterable[tuple[str, Tensor, Statistics | None]]) -> Mapping[str, Self]:
        """How each matrix of a model is quantized, where not all are in the same way.

        It is called once before `quantize`, so that a budget can be shared by all of them.

        Args:
            weights: name, matrix and what is known of its inputs; read once, and only as far as
                they are needed, for each may have to come from a file.

        Returns:
            By name; a matrix that is not there is quantized by this quantizer itself.

        Raises:
            QuantizationError: a matrix cannot be quantized, or a budget is too small for all.
        """
        del weights
        return {}

    @abstractmethod
    def quantize(self, weight: Tensor, statistics: Statistics | None = None) -> QuantizedTensor:
        """A matrix in few bits; the same matrix gives the same bits.

        Args:
            weight: (rows, columns) of a floating type, on any device; not modified.
            statistics: of the layer's inputs, where they are known.

        Raises:
            QuantizationError: it is no matrix, or holds what is not finite.
        """

    @abstractmethod
    def dequantize(self, tensor: QuantizedTensor) -> Tensor:
        """The matrix again, (rows, columns) float32 on the device of the codes.

        Raises:
            QuantizationError: the tensor is damaged, or of a layout that this quantizer knows not.
        """

    def linear(self, x: Tensor, tensor: QuantizedTensor) -> Tensor:
        """``x @ W.T`` for a quantized W; override it to compute on the codes as they are.

        Args:
            x: (..., columns) of a floating type.
            tensor: of (rows, columns), on the device of x.

        Returns:
            (..., rows) in the type of x.
        """
        import torch

        weight = self.dequantize(tensor)
        if x.dtype == torch.float16:  # which does not hold every weight that float32 holds
            return (x.float() @ weight.T).half()
        return x @ weight.to(x.dtype).T
