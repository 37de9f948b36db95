"""How often a prediction changes."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import MaskLevel, UncertaintyEstimator


@frozen
class Flips(UncertaintyEstimator):
    """Whether the likeliest token is another one than at the level before.

    How often a trajectory changes its mind (arXiv 2605.14570 counts the same while sampling).
    """

    def measure(self, level: MaskLevel) -> Tensor:
        """1 or 0; 0 at the first level."""
        if level.before is None:
            return torch.zeros(len(level.tokens), device=level.tokens.device)
        return (level.log_probs.argmax(-1) != level.before).float()
