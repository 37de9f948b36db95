"""Absorbing noise: masks."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import Corruption, Vocabulary


@frozen
class Absorbing(Corruption):
    """A token that does not survive is a mask from then on (D3PM, arXiv 2107.03006; MDLM).

    A state shows which of its tokens are clean: the one corruption for prompts, infilling, guidance
    and constraints, and the one of lowest likelihood bounds on text.
    """

    absorbing: ClassVar[bool] = True

    def noise(self, alpha: Tensor, vocabulary: Vocabulary) -> Tensor:
        """The mask with probability 1."""
        mask = torch.zeros(vocabulary.size, dtype=alpha.dtype, device=alpha.device)
        mask[vocabulary.mask_id] = 1
        return mask.expand(*alpha.shape, -1)
