"""The bound of the likelihood, by the number of masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from aios_core.contracts import Objective
from aios_core.diffusion.objective import nelbo_exact_count

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from aios_core.contracts import Network


@frozen
class ExactCount(Objective):
    """The same bound, drawn by how many tokens are masked: lower variance for the same mean.

    Each row has exactly k masks, k uniform in 1..L, where ``nelbo`` has a random number of them at
    each time (LLaDA, arXiv 2502.09992). The schedule only tells the network the time.
    """

    absorbing_only: ClassVar[bool] = True

    def losses(
        self, model: Network, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator
    ) -> Tensor:
        """See `aios_core.diffusion.objective.nelbo_exact_count`."""
        return nelbo_exact_count(model, x0, valid, times, generator)
