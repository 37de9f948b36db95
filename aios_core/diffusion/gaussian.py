"""The mathematics of Gaussian noise on numbers: noise, reverse steps, and the bound.

All of it follows from q(z | x) = N(sqrt(alpha) x, 1 - alpha), number by number (VDM, arXiv
2107.00630), with the alpha of tokens: in both worlds it is what is left of the clean part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import torch
from attrs import frozen
from torch import Tensor

if TYPE_CHECKING:
    from aios_core.contracts import Continuous, Corruption, Draws, Process, Randomness

_HALF: Final = 2.0**-54
"""Half of the step between two uniforms: it makes of [0, 1) the middles of its parts."""


@frozen
class GaussianProcess:
    """Gaussian noise on states (B, L, C); noise is drawn in float64, whatever a state is."""

    corruption: Corruption
    space: Continuous
    absorbing: ClassVar[bool] = False

    def prior(self, u: Tensor) -> Tensor:
        """Standard normal numbers by their inverse distribution function."""
        eps: Tensor = torch.special.ndtri(u.double() + _HALF)
        return eps

    def corrupt(self, x0: Tensor, alpha: Tensor, random: Randomness) -> Tensor:
        """The noisy state (B, L, C), of the type of x0; see `Process.corrupt`."""
        eps = self.prior(random.uniform(self.space.channels)).to(x0.device)
        level = alpha.to(x0.device).double().reshape(len(x0), -1)
        level = level.repeat_interleave(x0.shape[1] // level.shape[1], 1)[..., None]
        return (level.sqrt() * x0 + (1 - level).sqrt() * eps).to(x0.dtype)

    def between(
        self, z: Tensor, clean: Tensor, alpha: Tensor, earlier: Tensor, draws: Draws
    ) -> Tensor:
        """A draw of q(earlier state | z, clean), a Gaussian (VDM, eq. 25 to 28).

        ``clean`` is the mean of the clean numbers, where the reverse process has a draw of them: so
        the variance of a step is too small by what the network does not know, which vanishes as
        steps get shorter.
        """
        now, before = _levels(alpha, earlier)
        ratio = now / before
        step = 1 - ratio
        kept, moved = ratio.sqrt() * (1 - before) / (1 - now), before.sqrt() * step / (1 - now)
        spread = (step * (1 - before) / (1 - now)).clamp(min=0).sqrt()
        new = kept * z + moved * clean + spread * self.prior(draws.uniform(self.space.channels))
        return torch.where(draws.free[..., None], new, z)

    def integrand(
        self, z: Tensor, x0: Tensor, prediction: Tensor, alpha: Tensor, slope: Tensor
    ) -> Tensor:
        """-SNR'(t) / 2 times the squared error, summed over channels: (B, L) nats (VDM, eq. 17).

        SNR = alpha / (1 - alpha). Rows that are clean for certain, with alpha 1, have no number
        here and count 0: bounds are integrated from a time later than that.
        """
        error = (x0.double() - prediction.double()).square().sum(-1)
        noise = (1 - alpha.double()).reshape(-1, 1)
        weight = torch.where(noise > 0, -slope.double().reshape(-1, 1) / (2 * noise.square()), 0)
        return torch.where(weight > 0, weight * error, 0)


def _levels(alpha: Tensor, earlier: Tensor) -> tuple[Tensor, Tensor]:
    """() or (B,) as something that goes with (B, L, C)."""
    now, before = (level.double().reshape(-1, 1, 1) for level in (alpha, earlier))
    return now, before


if TYPE_CHECKING:

    def _offers(process: GaussianProcess) -> Process:
        return process
