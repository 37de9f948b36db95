"""The schedule whose total noise grows evenly."""

from __future__ import annotations

import torch
from attrs import Attribute, field, frozen, validators
from torch import Tensor

from aios_core.contracts import NoiseScheduler


@frozen
class LinearSigma(NoiseScheduler):
    """Tokens decay at a constant rate: alpha(t) = exp(-(sigma_min + t (sigma_max - sigma_min))).

    The ``linear`` of MDLM (arXiv 2406.07524), linear in the total noise sigma rather than in alpha.
    """

    sigma_min: float = field(default=0.0, validator=[validators.ge(0), validators.le(1e-3)])
    """Total noise at t = 0."""
    sigma_max: float = field(default=10.0, validator=[validators.gt(0), validators.le(700)])
    """Total noise at t = 1; the share exp(-sigma_max) of tokens survives."""

    @sigma_max.validator
    def _above(self, attribute: Attribute[float], value: float) -> None:
        if value <= self.sigma_min:
            raise ValueError(
                f"expected more than sigma_min, which is {self.sigma_min}, got {value}"
            )

    def sigma(self, t: Tensor) -> Tensor:
        """sigma_min + t (sigma_max - sigma_min)."""
        return self.sigma_min + t * (self.sigma_max - self.sigma_min)

    def alpha(self, t: Tensor) -> Tensor:
        """exp(-sigma(t))."""
        return torch.exp(-self.sigma(t))

    def alpha_prime(self, t: Tensor) -> Tensor:
        """-(sigma_max - sigma_min) alpha(t)."""
        return (self.sigma_min - self.sigma_max) * self.alpha(t)

    def inverse(self, alpha: Tensor) -> Tensor:
        """(-log(alpha) - sigma_min) / (sigma_max - sigma_min)."""
        return ((-alpha.log() - self.sigma_min) / (self.sigma_max - self.sigma_min)).clamp(0, 1)

    def mask_rate(self, t: Tensor) -> Tensor:
        """1 - exp(-sigma(t)), which does not cancel at small t."""
        return -torch.expm1(-self.sigma(t))

    def weight(self, t: Tensor) -> Tensor:
        """(sigma_max - sigma_min) / (exp(sigma(t)) - 1)."""
        return (self.sigma_max - self.sigma_min) / torch.expm1(self.sigma(t))
