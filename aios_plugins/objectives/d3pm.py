"""The bound of the likelihood, in discrete time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from aios_core.contracts import Objective
from aios_core.diffusion.objective import nelbo_discrete

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from aios_core.contracts import Network


@frozen
class D3PM(Objective):
    """The bound of ancestral sampling in a given number of steps (D3PM, arXiv 2107.03006).

    What a sampler with so many steps really reaches, so it is above ``nelbo``, to which it falls as
    steps grow; the predictions that it teaches are the same.
    """

    steps: int = field(default=1000, validator=[validators.ge(1), validators.le(1_000_000)])
    """T, equal steps of time."""

    def losses(
        self, model: Network, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator
    ) -> Tensor:
        """See `aios_core.diffusion.objective.nelbo_discrete`."""
        return nelbo_discrete(model, x0, valid, times, generator, steps=self.steps)
