"""The logarithmic schedule."""

from __future__ import annotations

import math

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import NoiseScheduler

LOG_2 = math.log(2)


@frozen
class Log(NoiseScheduler):
    """Tokens vanish a little faster at first than at last: alpha(t) = 1 - log2(1 + t).

    BD3-LM (arXiv 2503.09573).
    """

    def alpha(self, t: Tensor) -> Tensor:
        """1 - log2(1 + t), as log2(2 / (1 + t)), which does not cancel near t = 1."""
        return -torch.log1p((t - 1) / 2) / LOG_2

    def alpha_prime(self, t: Tensor) -> Tensor:
        """-1 / ((1 + t) log 2)."""
        return -1 / ((1 + t) * LOG_2)

    def inverse(self, alpha: Tensor) -> Tensor:
        """2^(1 - alpha) - 1."""
        return torch.expm1((1 - alpha).clamp(0, 1) * LOG_2)

    def mask_rate(self, t: Tensor) -> Tensor:
        """log2(1 + t)."""
        return torch.log1p(t) / LOG_2

    def weight(self, t: Tensor) -> Tensor:
        """1 / ((1 + t) log(1 + t))."""
        return 1 / ((1 + t) * torch.log1p(t))
