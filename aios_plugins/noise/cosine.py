"""The cosine schedule of MD4."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import NoiseScheduler

HALF_PI = torch.pi / 2


@frozen
class Cosine(NoiseScheduler):
    """Tokens vanish quickly at first and slowly at last: alpha(t) = 1 - cos(pi/2 (1 - t)).

    The cosine of MD4 (arXiv 2406.04329). MDLM's schedule of that name is ``cosine-mdlm``.
    """

    def alpha(self, t: Tensor) -> Tensor:
        """2 sin^2(pi/4 (1 - t)), which is 1 - cos(pi/2 (1 - t)) without its cancellation."""
        return 2 * torch.sin(HALF_PI / 2 * (1 - t)).square()

    def alpha_prime(self, t: Tensor) -> Tensor:
        """-pi/2 cos(pi/2 t)."""
        return -HALF_PI * torch.cos(HALF_PI * t)

    def inverse(self, alpha: Tensor) -> Tensor:
        """1 - 4/pi asin(sqrt(alpha / 2))."""
        return (1 - 2 / HALF_PI * torch.asin((alpha.clamp(0, 1) / 2).sqrt())).clamp(0, 1)

    def mask_rate(self, t: Tensor) -> Tensor:
        """sin(pi/2 t)."""
        return torch.sin(HALF_PI * t)

    def weight(self, t: Tensor) -> Tensor:
        """pi/2 / tan(pi/2 t)."""
        return HALF_PI / torch.tan(HALF_PI * t)
