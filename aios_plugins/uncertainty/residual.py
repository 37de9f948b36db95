"""How far a prediction is from the text."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import MaskLevel, UncertaintyEstimator


@frozen
class Residual(UncertaintyEstimator):
    """What the prediction leaves of the text, over the noise level.

    1 - p(token) is how far the prediction is from the text, in total variation. Divided by the
    share of masks, its sum over what is hidden estimates that over the whole text, at every level.
    It is given the text: of one that the network wrote, it says how well it agrees with itself.
    """

    def measure(self, level: MaskLevel) -> Tensor:
        """(1 - p(token)) / rate."""
        return -torch.expm1(level.said) / level.rate
