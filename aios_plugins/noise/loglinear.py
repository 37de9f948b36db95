"""The log-linear schedule, the usual one of masked diffusion."""

from __future__ import annotations

import torch
from attrs import field, frozen, validators
from torch import Tensor

from aios_core.contracts import NoiseScheduler


@frozen
class LogLinear(NoiseScheduler):
    """Tokens vanish at a constant rate: alpha(t) = 1 - (1 - eps) t.

    The NELBO weight is 1 / t for every eps (SEDD, arXiv 2310.16834; MDLM, arXiv 2406.07524).
    """

    eps: float = field(default=1e-3, validator=[validators.ge(0), validators.lt(1)])
    """alpha(1), the share of tokens that survive to the end; it keeps sigma finite."""

    def alpha(self, t: Tensor) -> Tensor:
        """1 - (1 - eps) t."""
        return 1 - self.mask_rate(t)

    def alpha_prime(self, t: Tensor) -> Tensor:
        """-(1 - eps)."""
        return torch.full_like(t, self.eps - 1)

    def inverse(self, alpha: Tensor) -> Tensor:
        """(1 - alpha) / (1 - eps)."""
        return ((1 - alpha) / (1 - self.eps)).clamp(0, 1)

    def mask_rate(self, t: Tensor) -> Tensor:
        """(1 - eps) t."""
        return (1 - self.eps) * t

    def weight(self, t: Tensor) -> Tensor:
        """1 / t."""
        return 1 / t
