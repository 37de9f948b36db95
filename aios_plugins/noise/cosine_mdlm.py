"""The cosine schedule of MDLM."""

from __future__ import annotations

import torch
from attrs import field, frozen, validators
from torch import Tensor

from aios_core.contracts import NoiseScheduler

HALF_PI = torch.pi / 2


@frozen
class CosineMDLM(NoiseScheduler):
    """Tokens vanish slowly at first and quickly at last: alpha(t) = eps + (1 - eps) cos(pi/2 t).

    The cosine of MDLM (arXiv 2406.07524). MD4's schedule of that name is ``cosine``.
    """

    eps: float = field(default=1e-3, validator=[validators.ge(0), validators.lt(1)])
    """alpha(1), the share of tokens that survive to the end."""

    def alpha(self, t: Tensor) -> Tensor:
        """Eps + (1 - eps) cos(pi/2 t)."""
        return self.eps + (1 - self.eps) * torch.cos(HALF_PI * t)

    def alpha_prime(self, t: Tensor) -> Tensor:
        """-(1 - eps) pi/2 sin(pi/2 t)."""
        return -(1 - self.eps) * HALF_PI * torch.sin(HALF_PI * t)

    def inverse(self, alpha: Tensor) -> Tensor:
        """4/pi asin(sqrt((1 - alpha) / (2 (1 - eps))))."""
        rate = ((1 - alpha) / (1 - self.eps)).clamp(0, 1)
        return 2 / HALF_PI * torch.asin((rate / 2).sqrt())

    def mask_rate(self, t: Tensor) -> Tensor:
        """2 (1 - eps) sin^2(pi/4 t), which does not cancel at small t."""
        return 2 * (1 - self.eps) * torch.sin(HALF_PI / 2 * t).square()

    def weight(self, t: Tensor) -> Tensor:
        """pi/2 / tan(pi/4 t), by the half-angle formula and for every eps."""
        return HALF_PI / torch.tan(HALF_PI / 2 * t)
