"""The polynomial schedule."""

from __future__ import annotations

import torch
from attrs import field, frozen, validators
from torch import Tensor

from aios_core.contracts import NoiseScheduler


@frozen
class Polynomial(NoiseScheduler):
    """Keep a token until time t with probability 1 - t**exponent (MD4, arXiv 2406.04329)."""

    exponent: float = field(default=2.0, validator=[validators.gt(0), validators.le(100)])
    """1 is linear; more keeps tokens longer."""

    def alpha(self, t: Tensor) -> Tensor:
        """1 - t^n, as -expm1(n log t), which does not cancel near t = 1."""
        return -torch.expm1(self.exponent * t.log())

    def alpha_prime(self, t: Tensor) -> Tensor:
        """-n t^(n-1)."""
        return -self.exponent * t ** (self.exponent - 1)

    def inverse(self, alpha: Tensor) -> Tensor:
        """(1 - alpha)^(1/n)."""
        return (1 - alpha).clamp(0, 1) ** (1 / self.exponent)

    def mask_rate(self, t: Tensor) -> Tensor:
        """t^n."""
        return t**self.exponent

    def weight(self, t: Tensor) -> Tensor:
        """N / t."""
        return self.exponent / t
