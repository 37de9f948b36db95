"""Round to nearest as the library torchao does it."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import Statistics
from aios_core.errors import MissingExtraError
from aios_core.quantization.affine import Affine, AffineQuantizer


@frozen
class TorchAo(AffineQuantizer):
    """torchao's affine quantization: steps of which one is exactly zero.

    Needs the extra ``torchao``, and only to quantize. For comparisons of quality; the products are
    computed on the dequantized weight.
    """

    method: ClassVar[str] = "torchao"

    def fit(self, groups: Tensor, statistics: Statistics | None) -> Affine:
        """Codes and parameters as the library finds them."""
        try:
            from torchao.quantization.quant_primitives import (
                MappingType,
                choose_qparams_affine,
                quantize_affine,
            )
        except ImportError as error:
            raise MissingExtraError("the quantizer torchao", "torchao", str(error.name)) from error
        flat, levels = groups.reshape(-1, groups.shape[-1]), 2**self.bits - 1
        block = (1, groups.shape[-1])
        scale, zero = choose_qparams_affine(
            flat, MappingType.ASYMMETRIC, block, torch.uint8, 0, levels, scale_dtype=torch.float32
        )
        codes = quantize_affine(flat, block, scale, zero, torch.uint8, 0, levels)
        scale = scale.reshape(groups.shape[:2])
        return Affine(
            codes.reshape(groups.shape), scale, -zero.reshape(groups.shape[:2]).float() * scale
        )
