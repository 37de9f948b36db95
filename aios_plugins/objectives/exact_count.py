"""The bound of the likelihood, by the number of masks."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from aios_core.diffusion.bounds import CountBound


@frozen
class ExactCount(CountBound):
    """The same bound, drawn by how many tokens are masked: lower variance for the same mean.

    Each row has exactly k masks, k uniform in 1..L, where ``nelbo`` has a random number of them at
    each time (LLaDA, arXiv 2502.09992). The schedule only tells the network the time.
    """

    absorbing_only: ClassVar[bool] = True
