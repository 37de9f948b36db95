"""Warm-up, stable, decay."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen, validators

from aios_core.contracts import LrSchedule


@frozen
class WarmupStableDecay(LrSchedule):
    """The peak for most of the training, and at its end a decay to zero (arXiv 2404.06395).

    Before the decay nothing depends on where the training ends.
    """

    decay: float = field(default=0.2, validator=[validators.gt(0), validators.le(1)])
    """Share of the steps after the warm-up in which the rate decays."""
    shape: Literal["sqrt", "linear"] = "sqrt"
    """Of the decay: 1 - sqrt(x), which falls sooner and is the better one in arXiv 2405.18392, or
    1 - x."""

    def share(self, progress: float) -> float:
        """1 until the decay begins, then down to 0."""
        x = max(0.0, (progress - (1 - self.decay)) / self.decay)
        return max(0.0, 1 - (x if self.shape == "linear" else x**0.5))
