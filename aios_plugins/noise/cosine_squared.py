"""The squared cosine schedule."""

from __future__ import annotations

import torch
from attrs import field, frozen, validators
from torch import Tensor

from aios_core.contracts import NoiseScheduler

HALF_PI = torch.pi / 2


@frozen
class CosineSquared(NoiseScheduler):
    """Tokens vanish slowly at both ends: alpha(t) = eps + (1 - eps) cos^2(pi/2 t).

    Known from Gaussian diffusion (arXiv 2102.09672); the discrete form is MDLM's (arXiv
    2406.07524).
    """

    eps: float = field(default=1e-3, validator=[validators.ge(0), validators.lt(1)])
    """alpha(1), the share of tokens that survive to the end."""

    def alpha(self, t: Tensor) -> Tensor:
        """Eps + (1 - eps) cos^2(pi/2 t)."""
        return self.eps + (1 - self.eps) * torch.cos(HALF_PI * t).square()

    def alpha_prime(self, t: Tensor) -> Tensor:
        """-(1 - eps) pi/2 sin(pi t)."""
        return -(1 - self.eps) * HALF_PI * torch.sin(2 * HALF_PI * t)

    def inverse(self, alpha: Tensor) -> Tensor:
        """2/pi atan(sqrt((1 - alpha) / (alpha - eps))), precise at both ends."""
        gone, left = (1 - alpha).clamp(min=0), (alpha - self.eps).clamp(min=0)
        return torch.atan2(gone.sqrt(), left.sqrt()) / HALF_PI

    def mask_rate(self, t: Tensor) -> Tensor:
        """(1 - eps) sin^2(pi/2 t)."""
        return (1 - self.eps) * torch.sin(HALF_PI * t).square()

    def weight(self, t: Tensor) -> Tensor:
        """Pi / tan(pi/2 t), for every eps."""
        return 2 * HALF_PI / torch.tan(HALF_PI * t)
