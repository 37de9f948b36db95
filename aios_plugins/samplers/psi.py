"""The psi sampler: backward steps mixed with fresh noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from attrs import field, frozen, validators

from aios_core.contracts import SamplingContext
from aios_core.diffusion.process import levels
from aios_plugins.samplers._remasking import RemaskingSampler, shares

if TYPE_CHECKING:
    from torch import Tensor

_fraction: Any = [validators.ge(0), validators.le(1)]


@frozen
class Psi(RemaskingSampler):
    """At each position: a backward step with probability kappa, else noise added to a clean draw.

    The clean draw is corrupted anew to the level of s, so what was written before matters less
    (psi-samplers of Duo, arXiv 2506.10892), whatever the corruption. For masks that is remasking
    with probability (1 - kappa) (1 - alpha(s)). Exact for kappa 1 in the limit, when it is
    ``ancestral``.
    """

    exact: ClassVar[Literal["never"]] = "never"
    absorbing_only: ClassVar[bool] = False

    kappa: float = field(default=0.98, validator=_fraction)
    """Probability of the backward step; 1 never takes a token back."""

    def remask(self, t: Tensor, s: Tensor, limit: Tensor, context: SamplingContext) -> Tensor:
        """(1 - kappa) (1 - alpha(s))."""
        return (1 - self.kappa) * shares(t, s, context)[1]

    def step(
        self, x: Tensor, t: Tensor, s: Tensor, log_probs: Tensor, context: SamplingContext
    ) -> Tensor:
        """Lift and take back masks, or renew noise of any other kind."""
        process = context.process
        if process is None or process.absorbing:
            return super().step(x, t, s, log_probs, context)
        alpha, earlier = levels(t, s, context)
        x0 = process.guess(x, log_probs, alpha, context)
        back = process.between(x, x0, alpha, earlier, context)
        noise = process.draw(earlier, context.uniform())
        fresh = torch.where(context.uniform() < earlier, x0, noise)
        return torch.where(context.fixed | (context.uniform() < self.kappa), back, fresh)
