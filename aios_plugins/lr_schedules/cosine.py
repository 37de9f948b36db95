"""The cosine schedule of the learning rate."""

from __future__ import annotations

import math

from attrs import field, frozen, validators

from aios_core.contracts import LrSchedule


@frozen
class Cosine(LrSchedule):
    """Half a period of a cosine, from the peak down to a share of it (arXiv 1608.03983)."""

    final: float = field(default=0.1, validator=[validators.ge(0), validators.le(1)])
    """Share of the peak that the last steps come near to."""

    def share(self, progress: float) -> float:
        """Between 1 and ``final``."""
        middle, half = (1 + self.final) / 2, (1 - self.final) / 2
        return middle + half * math.cos(math.pi * progress)
