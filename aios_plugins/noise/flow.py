"""The schedule of straight paths."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import NoiseScheduler


@frozen
class Flow(NoiseScheduler):
    """Numbers go to noise on a straight line: alpha(t) = (1 - t)^2 / ((1 - t)^2 + t^2).

    A state sqrt(alpha) x + sqrt(1 - alpha) eps is the (1 - t) x + t eps of flow matching (arXiv
    2210.02747, 2209.03003), scaled to keep its variance, so that DDIM on it is Euler's method.
    """

    def alpha(self, t: Tensor) -> Tensor:
        """Share of the clean part in the variance."""
        return (1 - t).square() / self._total(t)

    def alpha_prime(self, t: Tensor) -> Tensor:
        """-2 t (1 - t) / ((1 - t)^2 + t^2)^2."""
        return -2 * t * (1 - t) / self._total(t).square()

    def inverse(self, alpha: Tensor) -> Tensor:
        """sqrt(1 - alpha) / (sqrt(alpha) + sqrt(1 - alpha))."""
        alpha = alpha.clamp(0, 1)
        rest = (1 - alpha).sqrt()
        return rest / (alpha.sqrt() + rest)

    def mask_rate(self, t: Tensor) -> Tensor:
        """t^2 / ((1 - t)^2 + t^2): one minus alpha loses it where t is small."""
        return t.square() / self._total(t)

    def weight(self, t: Tensor) -> Tensor:
        """2 (1 - t) / (t ((1 - t)^2 + t^2))."""
        return torch.where(t > 0, 2 * (1 - t) / (t * self._total(t)), 0.0)

    def _total(self, t: Tensor) -> Tensor:
        return (1 - t).square() + t.square()
