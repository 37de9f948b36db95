"""The bound of the likelihood, in continuous time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aios_core.contracts import Objective
from aios_core.diffusion.objective import nelbo

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from aios_core.contracts import Network


@frozen
class Nelbo(Objective):
    """The continuous-time bound of any corruption, at times spread evenly over the batch.

    For masks the weighted cross-entropy of MDLM (arXiv 2406.07524), for uniform noise UDLM's
    (arXiv 2412.10193), for the hybrid GIDD's (arXiv 2503.04482).
    """

    def losses(
        self, model: Network, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator
    ) -> Tensor:
        """See `aios_core.diffusion.objective.nelbo`."""
        return nelbo(model, x0, valid, times, generator)
