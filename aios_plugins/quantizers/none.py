"""No quantization."""

from __future__ import annotations

from typing import ClassVar, Final

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import QuantizedTensor, Quantizer, Statistics
from aios_core.errors import QuantizationError
from aios_core.quantization.affine import check_weight

LAYOUT: Final = "as it is"


@frozen
class Keep(Quantizer):
    """Weights stay as they were trained: the arm that others are compared with."""

    changes: ClassVar[bool] = False

    def quantize(self, weight: Tensor, statistics: Statistics | None = None) -> QuantizedTensor:
        """The bytes of the weight, which are its codes."""
        check_weight(weight)
        return QuantizedTensor(
            codes=weight.detach().contiguous().reshape(-1).view(torch.uint8),
            params=torch.empty(0, dtype=torch.uint8, device=weight.device),
            shape=tuple(weight.shape),
            dtype=str(weight.dtype).removeprefix("torch."),
            bits=8 * weight.element_size(),
            group_size=0,
            scheme="symmetric",
            method="none",
            layout=LAYOUT,
            param_fmt="",
        )

    def dequantize(self, tensor: QuantizedTensor) -> Tensor:
        """The weight, in float32."""
        dtype = getattr(torch, tensor.dtype, None)
        if tensor.layout != LAYOUT or not isinstance(dtype, torch.dtype):
            raise QuantizationError(f"expected bytes of a weight, got {tensor.layout!r:.40}")
        codes = tensor.codes.clone()  # a view in another type needs aligned bytes
        try:
            return codes.view(dtype).view(tensor.shape).float()
        except RuntimeError as error:
            raise QuantizationError(
                f"expected the bytes of {tensor.shape} {tensor.dtype}"
            ) from error
