"""The bound of the likelihood, in discrete time."""

from __future__ import annotations

from attrs import field, frozen, validators

from aios_core.diffusion.bounds import StepBound


@frozen
class D3PM(StepBound):
    """The bound of ancestral sampling in a given number of steps (D3PM, arXiv 2107.03006).

    What a sampler with so many steps really reaches, so it is above ``nelbo``, to which it falls as
    steps grow; the predictions that it teaches are the same.
    """

    steps: int = field(default=1000, validator=[validators.ge(1), validators.le(1_000_000)])
    """T, equal steps of time."""
