"""The schedule whose total noise grows by a constant factor."""

from __future__ import annotations

import math

import torch
from attrs import field, frozen, validators
from torch import Tensor

from aios_core.contracts import NoiseScheduler


@frozen
class Geometric(NoiseScheduler):
    """Noise of all magnitudes: sigma(t) = sigma_min^(1 - t) sigma_max^t, alpha(t) = exp(-sigma(t)).

    SEDD (arXiv 2310.16834). Most tokens vanish together late in t; SEDD's sigma_max of 1 for masks
    would leave 0.37 of them at t = 1, which sampling from masks alone never sees.
    """

    sigma_min: float = field(default=1e-4, validator=[validators.gt(0), validators.le(1e-3)])
    """Total noise at t = 0."""
    sigma_max: float = field(default=20.0, validator=[validators.ge(6.91), validators.le(700)])
    """Total noise at t = 1; the share exp(-sigma_max) of tokens survives."""

    def sigma(self, t: Tensor) -> Tensor:
        """sigma_min^(1 - t) sigma_max^t."""
        return torch.exp((1 - t) * math.log(self.sigma_min) + t * math.log(self.sigma_max))

    def _sigma_prime(self, t: Tensor) -> Tensor:
        return self.sigma(t) * math.log(self.sigma_max / self.sigma_min)

    def alpha(self, t: Tensor) -> Tensor:
        """exp(-sigma(t))."""
        return torch.exp(-self.sigma(t))

    def alpha_prime(self, t: Tensor) -> Tensor:
        """-sigma'(t) alpha(t), where sigma'(t) is log(sigma_max / sigma_min) sigma(t)."""
        return -self._sigma_prime(t) * self.alpha(t)

    def inverse(self, alpha: Tensor) -> Tensor:
        """log(-log(alpha) / sigma_min) / log(sigma_max / sigma_min)."""
        sigma = (-alpha.log()).clamp(self.sigma_min, self.sigma_max)
        return (sigma / self.sigma_min).log() / math.log(self.sigma_max / self.sigma_min)

    def mask_rate(self, t: Tensor) -> Tensor:
        """1 - exp(-sigma(t)), without its cancellation."""
        return -torch.expm1(-self.sigma(t))

    def weight(self, t: Tensor) -> Tensor:
        """sigma'(t) / (exp(sigma(t)) - 1)."""
        return self._sigma_prime(t) / torch.expm1(self.sigma(t))
