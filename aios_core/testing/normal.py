"""A normal distribution: numbers of which the perfect denoiser is a formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from aios_core.contracts import Continuous, Corruption, NoiseScheduler
from aios_core.diffusion.gaussian import GaussianProcess

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Process, Space, Vocabulary


class Straight(NoiseScheduler):
    """(1 - t) x + t eps, scaled to unit variance: nothing is left of x at t = 1."""

    def alpha(self, t: Tensor) -> Tensor:
        """(1 - t)^2 / ((1 - t)^2 + t^2)."""
        return (1 - t).square() / ((1 - t).square() + t.square())

    def mask_rate(self, t: Tensor) -> Tensor:
        """t^2 / ((1 - t)^2 + t^2)."""
        return t.square() / ((1 - t).square() + t.square())


class Normal(Corruption):
    """Gaussian noise of numbers."""

    spaces: ClassVar = (Continuous,)

    def noise(self, alpha: Tensor, vocabulary: Vocabulary) -> Tensor:
        """There is none on tokens."""
        raise NotImplementedError

    def process(self, space: Space) -> Process | None:
        """On numbers."""
        return GaussianProcess(self, space) if isinstance(space, Continuous) else None


class NormalOracle:
    """Every number is normal by itself, with a mean and a deviation that are known.

    Args:
        noise: the schedule, for the answer depends on the time.

    Attributes:
        nfe: calls so far.
    """

    mean: Final = 0.7
    deviation: Final = 0.3
    time_conditioned = True

    def __init__(self, noise: NoiseScheduler) -> None:
        self.noise, self.nfe = noise, 0

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """E[clean | x at t], (B, L, C) float64."""
        self.nfe += 1
        t = t[:, None, None]
        signal, rest = self.noise.signal(t), self.noise.mask_rate(t)
        gain = signal * self.deviation**2 / (signal**2 * self.deviation**2 + rest)
        return self.mean + gain * (x - signal * self.mean)
