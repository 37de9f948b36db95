"""How spread out a prediction is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aios_core.contracts import MaskLevel, UncertaintyEstimator
from aios_core.diffusion.entropies import entropy

if TYPE_CHECKING:
    from torch import Tensor


@frozen
class Entropy(UncertaintyEstimator):
    """Entropy of the prediction, in nats."""

    def measure(self, level: MaskLevel) -> Tensor:
        """Sum of -p log p."""
        return entropy(level.log_probs)
