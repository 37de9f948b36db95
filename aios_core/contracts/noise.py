"""Noise schedules: how fast information is destroyed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Spacing = Literal["uniform", "cosine", "information"]
Curve = tuple[tuple[float, float], ...]
"""Nats that a hidden token tells, by the share of tokens that are hidden: rising pairs of the two.
Between them it is a line, beyond them constant."""


class NoiseScheduler(ABC):
    """A schedule alpha(t): the probability that a token survives to time t.

    t runs from 0 (clean) to 1 (pure noise). Write `alpha`; everything else follows from it and may
    be overridden by a closed form. One schedule serves both worlds: a token is kept with
    probability alpha(t), a continuous latent is ``signal(t) * x0 + noise(t) * eps``.

    Every method takes and returns float64 tensors of any shape, elementwise.
    """

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Survival probability, decreasing from 1 (or nearly) at 0 to 0 (or nearly) at 1.

        Sampling starts from masks alone whatever alpha(1) is, so keep alpha(1) at 1e-3 or less:
        what survives at t = 1 is seen in training and never when sampling, and the NELBO leaves
        out about alpha(1) times the loss of a fully masked text.

        Args:
            t: times in [0, 1], any shape, float64.
        """

    def alpha_prime(self, t: Tensor) -> Tensor:
        """Slope d alpha / dt, at most 0; by automatic differentiation unless overridden."""
        import torch

        with torch.inference_mode(mode=False), torch.enable_grad():
            t = t.detach().clone().requires_grad_()  # what inference mode made cannot be traced
            (slope,) = torch.autograd.grad(self.alpha(t).sum(), t)
        return slope

    def inverse(self, alpha: Tensor) -> Tensor:
        """The t at which alpha(t) has the given value; by bisection unless overridden.

        Values outside [alpha(1), alpha(0)] give the nearer end.
        """
        import torch

        low, high = torch.zeros_like(alpha), torch.ones_like(alpha)
        for _ in range(106):  # a bit a round: 53 would leave a square root only half of its digits
            middle = (low + high) / 2
            too_clean = self.alpha(middle) > alpha
            low = torch.where(too_clean, middle, low)
            high = torch.where(too_clean, high, middle)
        return (low + high) / 2

    def mask_rate(self, t: Tensor) -> Tensor:
        """Probability 1 - alpha(t) that a token is corrupted; override where it cancels."""
        return 1 - self.alpha(t)

    def sigma(self, t: Tensor) -> Tensor:
        """Total noise -log alpha(t), infinite where alpha is 0 (SEDD, arXiv 2310.16834)."""
        import torch

        rate = self.mask_rate(t)  # precise where alpha is almost 1, as alpha is where it is small
        return torch.where(rate < 0.5, -torch.log1p(-rate), -self.alpha(t).log())

    def weight(self, t: Tensor) -> Tensor:
        """NELBO weight -alpha'(t) / (1 - alpha(t)) (MDLM, arXiv 2406.07524).

        Without a closed form it is 0 where alpha(t) rounds to 1: no token is masked there, and
        infinity times a loss of 0 would be no number.
        """
        import torch

        rate = self.mask_rate(t)
        return torch.where(rate > 0, -self.alpha_prime(t) / rate, 0.0)

    def signal(self, t: Tensor) -> Tensor:
        """Scale sqrt(alpha(t)) of the clean part of a Gaussian latent."""
        return self.alpha(t).sqrt()

    def noise(self, t: Tensor) -> Tensor:
        """Scale sqrt(1 - alpha(t)) of the noise in a Gaussian latent."""
        return self.mask_rate(t).sqrt()

    def build(self) -> NoiseScheduler:
        """The schedule that a network is trained and sampled with: itself, unless it learns.

        One that learns returns a `torch.nn.Module` that is a schedule too. It becomes a part of the
        network, trained, averaged and saved with it, and is taught by its `surprise`.
        """
        return self

    def surprise(self, times: Tensor, losses: Tensor) -> Tensor | None:
        """What a schedule that learns would have lower; None: nothing.

        Args:
            times: (B, N) float64 that the losses were drawn at.
            losses: (B,) nats, without gradient.

        Returns:
            () whose gradient is taken, and whose value is not; no part of the network's loss.
        """
        return None

    def timesteps(self, steps: int, spacing: Spacing | Curve = "uniform") -> Tensor:
        """Times from 1 down to 0 at which a sampler stops.

        Args:
            steps: number of steps, at least 1.
            spacing: ``"uniform"`` in t; ``"cosine"``: small steps first, while most is unknown
                (MD4, arXiv 2406.04329); ``"information"``: as many tokens in each step, which
                is as much information where every token tells as much; or a curve of what they do
                tell, for steps of equal information by it (entropic time, arXiv 2504.13612).

        Returns:
            (steps + 1,) float64, strictly decreasing, exactly 1 at the start and 0 at the end.

        Examples:
            >>> class Linear(NoiseScheduler):
            ...     def alpha(self, t):
            ...         return 1 - t
            >>> Linear().timesteps(4)
            tensor([1.0000, 0.7500, 0.5000, 0.2500, 0.0000], dtype=torch.float64)
            >>> Linear().timesteps(4, "cosine")
            tensor([1.0000, 0.9239, 0.7071, 0.3827, 0.0000], dtype=torch.float64)
        """
        import torch

        grid = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        if spacing == "information" or not isinstance(spacing, str):
            curve = ((1.0, 1.0),) if isinstance(spacing, str) else spacing
            rate = self.mask_rate(torch.ones(1, dtype=torch.float64)) * _reached(grid, curve)
            grid = self.inverse(1 - rate)
            grid[0], grid[-1] = 1, 0
        if spacing == "cosine":
            grid = torch.cos(torch.pi / 2 * (1 - grid))
            grid[-1] = 0.0  # cos(pi / 2) is 6e-17
        return grid


def _reached(shares: Tensor, curve: Curve) -> Tensor:
    """Rates below which these shares of all information lie: where its integral is so large."""
    import torch

    rates, nats = torch.tensor(curve, dtype=torch.float64).T.contiguous()
    fine = torch.linspace(0, 1, 8193, dtype=torch.float64)
    height = _interpolate(fine, rates, nats)
    total = torch.cat((fine[:1], ((height[1:] + height[:-1]) / 2).cumsum(0)))
    return _interpolate(shares * total[-1], total, fine)


def _interpolate(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Lines between points, constant beyond them."""
    import torch

    if len(knots) == 1:
        return values.expand_as(x)
    i = torch.searchsorted(knots, x.contiguous()).clamp(1, len(knots) - 1)
    share = ((x - knots[i - 1]) / (knots[i] - knots[i - 1])).clamp(0, 1)
    curve: Tensor = values[i - 1] + share * (values[i] - values[i - 1])
    return curve
