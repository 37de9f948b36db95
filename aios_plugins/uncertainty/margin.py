"""How close the second likeliest token is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aios_core.contracts import MaskLevel, UncertaintyEstimator

if TYPE_CHECKING:
    from torch import Tensor


@frozen
class Margin(UncertaintyEstimator):
    """1 minus the difference of the two highest probabilities."""

    def measure(self, level: MaskLevel) -> Tensor:
        """From 0, where the first leaves nothing, to 1, where the second is as likely."""
        first, second = level.log_probs.topk(2).values.exp().unbind(-1)
        return 1 - first + second
