"""RMSNorm, which rounds as published networks do where that is wanted."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RMSNorm(nn.RMSNorm):
    """``x / sqrt(mean(x^2) + eps) * weight`` over the last axis (arXiv 1910.07467).

    Args:
        dim: features.
        eps: unset: the machine epsilon of what is normalised.
        rounds_first: compute in float32, round to the type of x, and multiply by the weight then,
            as Llama and its kin do; torch rounds once, behind the weight.
    """

    def __init__(self, dim: int, eps: float | None = None, *, rounds_first: bool = False) -> None:
        super().__init__(dim, eps)
        self.rounds_first = rounds_first

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) to (..., dim)."""
        if not self.rounds_first:
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        out: Tensor = self.weight * normed.to(x.dtype)
        return out
