"""Round to nearest: the readable reference."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import Statistics
from aios_core.quantization.affine import Affine, AffineQuantizer


@frozen
class Rtn(AffineQuantizer):
    """Even steps between the smallest and the largest weight of a group, each weight the nearest.

    Plain torch, on any device: slow, and what other quantizers are compared with.
    """

    method: ClassVar[str] = "rtn"

    symmetric: bool = False
    """Steps on both sides of zero, which saves the offset and costs accuracy."""

    def fit(self, groups: Tensor, statistics: Statistics | None) -> Affine:
        """Codes of the groups; parameters are rounded to float16 first, so that codes fit them."""
        levels = 2**self.bits - 1
        low, high = groups.amin(-1), groups.amax(-1)
        if self.symmetric:
            # The weight of largest magnitude becomes code 0, the only one that reaches so far.
            extreme = torch.where(high > -low, high, low)
            scale, offset = (-extreme / 2 ** (self.bits - 1)).half().float(), None
            start = -scale * 2 ** (self.bits - 1)
        else:
            scale, offset = ((high - low) / levels).half().float(), low.half().float()
            start = offset
        steps = (groups - start[..., None]) / scale.where(scale != 0, torch.inf)[..., None]
        return Affine(steps.round().clamp(0, levels), scale, offset)
