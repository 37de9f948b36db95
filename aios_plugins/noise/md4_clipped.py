"""The clipped schedule of MD4."""

from __future__ import annotations

import torch
from attrs import field, frozen, validators
from torch import Tensor

from aios_core.contracts import NoiseScheduler


@frozen
class MD4Clipped(NoiseScheduler):
    """A polynomial kept away from both ends: alpha(t) = eps + (1 - 2 eps) (1 - t^exponent).

    MD4 (arXiv 2406.04329, appendix). The NELBO weight stays finite at t = 0; in return a text of L
    tokens has eps L masks there, whose loss, about eps times that of a fully masked text, the NELBO
    leaves out.
    """

    eps: float = field(default=1e-4, validator=[validators.ge(0), validators.le(1e-3)])
    """1 - alpha(0), and alpha(1)."""
    exponent: float = field(default=1.0, validator=[validators.gt(0), validators.le(100)])
    """1 is linear; more keeps tokens longer."""

    def alpha(self, t: Tensor) -> Tensor:
        """Eps + (1 - 2 eps) (1 - t^n)."""
        return self.eps - (1 - 2 * self.eps) * torch.expm1(self.exponent * t.log())

    def alpha_prime(self, t: Tensor) -> Tensor:
        """-(1 - 2 eps) n t^(n-1)."""
        return -(1 - 2 * self.eps) * self.exponent * t ** (self.exponent - 1)

    def inverse(self, alpha: Tensor) -> Tensor:
        """((1 - eps - alpha) / (1 - 2 eps))^(1/n)."""
        share = (1 - self.eps - alpha) / (1 - 2 * self.eps)
        return share.clamp(0, 1) ** (1 / self.exponent)

    def mask_rate(self, t: Tensor) -> Tensor:
        """Eps + (1 - 2 eps) t^n."""
        return self.eps + (1 - 2 * self.eps) * t**self.exponent
