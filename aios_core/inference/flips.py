"""How often a network changes its mind about a token before it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from aios_core.contracts.denoising import ask
from aios_core.tensor_cache import masks

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Denoiser


class FlipCounter:
    """A denoiser that counts, at each position, how often its likeliest token changes.

    From call to call of a trajectory, while the position is masked in both; where a sampler masks
    again, counting goes on with what was likeliest before. The estimator of arXiv 2605.14570,
    which needs no further call of the network.

    Args:
        denoiser: any, of noise that is masks.
        mask_id: token id of the mask.

    Attributes:
        flips: (B, L) int64; None before the first call.
    """

    def __init__(self, denoiser: Denoiser, mask_id: int) -> None:
        self.denoiser, self.mask_id = denoiser, mask_id
        self.time_conditioned = denoiser.time_conditioned
        self.flips: Tensor | None = None

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """What the denoiser says."""
        return self.part(x, t, 0, x.shape[1])

    def part(self, x: Tensor, t: Tensor, start: int, stop: int) -> Tensor:
        """Likewise of some positions."""
        answer = ask(self.denoiser, x, t, start, stop)
        if self.flips is None:
            self.flips, self._before = torch.zeros_like(x), torch.full_like(x, -1)
        masked, seen = masks(x, self.mask_id)[:, start:stop], slice(start, stop)
        now, before = answer.argmax(-1), self._before[:, seen]
        self.flips[:, seen] += masked & (before >= 0) & (now != before)
        self._before[:, seen] = torch.where(masked, now, before)
        return answer
