"""A noise schedule that spends its time in the middle.

The whole plugin: one class, and the hook that offers it. Every command imports this file, so torch
is imported for annotations only; tensors bring the functions that are needed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

import aios_core
from aios_core.contracts import NoiseScheduler

if TYPE_CHECKING:
    from torch import Tensor

AIOS_API = 1


@frozen
class Sigmoid(NoiseScheduler):
    """Keep a token with a probability that falls as a logistic curve (arXiv 2301.10972).

    The curve is shifted and scaled to be exactly 1 at t = 0 and 0 at t = 1. With a for the
    sharpness, alpha(t) = 1/2 + tanh(a (1 - 2t)) / (2 tanh a).
    """

    sharpness: float = field(default=2.0, validator=[validators.gt(0), validators.le(20)])
    """Towards 0 the curve becomes a straight line, the higher the more it resembles a step."""

    def alpha(self, t: Tensor) -> Tensor:
        """As one quotient, for the sum of two tanh cancels near t = 1."""
        a = self.sharpness
        return (2 * a * (1 - t)).sinh() / (2 * math.sinh(a) * (a * (1 - 2 * t)).cosh())

    def mask_rate(self, t: Tensor) -> Tensor:
        """The curve is symmetric, so 1 - alpha(t) is alpha(1 - t), which is exact near t = 0."""
        a = self.sharpness
        return (2 * a * t).sinh() / (2 * math.sinh(a) * (a * (1 - 2 * t)).cosh())

    def alpha_prime(self, t: Tensor) -> Tensor:
        """-a / (tanh(a) cosh^2(a (1 - 2t)))."""
        a = self.sharpness
        return -a / (math.tanh(a) * (a * (1 - 2 * t)).cosh() ** 2)


@aios_core.hookimpl
def aios_noise_schedulers() -> dict[str, type]:
    """Names, and the classes they stand for."""
    return {"sigmoid": Sigmoid}
