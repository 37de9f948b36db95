"""Half-quadratic quantization, by the library hqq."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from attrs import Attribute, field, frozen
from torch import Tensor  # noqa: TC002

from aios_core.contracts import Statistics
from aios_core.errors import MissingExtraError
from aios_core.quantization.affine import Affine, AffineQuantizer

_SIZE: Final = 2.0**-17
"""Brings the largest weight of a row from 2^13 near 1/16: the library's norm of the error, whose
constants were found on the weights of language models, is not the same at every size."""


@frozen
class Hqq(AffineQuantizer):
    """Offsets that minimise a norm of the error below 1, so that outliers count for little.

    Needs the extra ``hqq``, and only to quantize. The method is of the authors' page,
    mobiusml.github.io/hqq_blog.
    """

    method: ClassVar[str] = "hqq"

    bits: int = field(default=4)
    """Of a code: 1, 2, 3, 4 or 8."""

    @bits.validator
    def _known(self, attribute: Attribute[Any], value: int) -> None:
        if value not in (1, 2, 3, 4, 8):
            raise ValueError(f"expected 1, 2, 3, 4 or 8, got {value}")

    def fit(self, groups: Tensor, statistics: Statistics | None) -> Affine:
        """Codes and parameters as the library finds them."""
        try:
            from hqq.core.quantize import Quantizer
        except ImportError as error:
            raise MissingExtraError("the quantizer hqq", "hqq", str(error.name)) from error
        flat = groups.reshape(-1, groups.shape[-1]) * _SIZE
        codes, parameters = Quantizer.quantize(
            flat,
            nbits=self.bits,
            group_size=groups.shape[-1],
            axis=1,
            bitpack=False,
            device=str(groups.device),
        )
        scale, zero = (
            parameters[name].float().reshape(groups.shape[:2]) for name in ("scale", "zero")
        )
        scale = scale / _SIZE
        return Affine(codes.reshape(groups.shape), scale, -zero * scale)
