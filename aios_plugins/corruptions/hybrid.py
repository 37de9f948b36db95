"""Hybrid noise: masks, and any token besides."""

from __future__ import annotations

import torch
from attrs import field, frozen, validators
from torch import Tensor

from aios_core.contracts import Corruption, Vocabulary


@frozen
class Hybrid(Corruption):
    """Masks at the end, uniform noise on the way there: GIDD (arXiv 2503.04482, gamma = 1).

    Sampling starts from masks, yet every token may still change, so that mistakes can be put right.
    Of GIDD's own time the share of clean tokens is a function, and the schedule's alpha is that
    share; the bound does not depend on how time is measured.
    """

    uniform: float = field(default=0.1, validator=[validators.gt(0), validators.lt(1)])
    """Share of uniform noise among all tokens where it is largest, half of the way."""

    def noise(self, alpha: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Odds u^2 of masks and B u of other tokens, which add up to the odds (1 - alpha) / alpha.

        GIDD has masks : uniform : clean = 1 - a : B sqrt(a (1 - a)) : a with B = 2 p / (1 - p), so
        u = sqrt((1 - a) / a). Here v = u sqrt(alpha), which stays finite.
        """
        b = 2 * self.uniform / (1 - self.uniform) * alpha.sqrt()
        v = 2 * (1 - alpha) / (b + (b.square() + 4 * (1 - alpha)).sqrt())
        masks = (v / (v + b))[..., None]
        mask = torch.zeros(vocabulary.size, dtype=torch.bool, device=alpha.device)
        mask[vocabulary.mask_id] = True
        return torch.where(mask, masks, (1 - masks) / (vocabulary.size - 1))
