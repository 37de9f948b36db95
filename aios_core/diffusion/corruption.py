"""Forward processes: how clean data turn into noise."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Generator, Tensor


@frozen
class Absorbing:
    """A token survives with probability alpha, and is a mask from then on."""

    mask_id: int
    """Token id of the mask."""

    def corrupt(self, x0: Tensor, alpha: Tensor, generator: Generator) -> Tensor:
        """Replace each token by the mask with probability 1 - alpha of its row.

        Args:
            x0: (B, L) int64 clean tokens.
            alpha: (B,) float64 survival probabilities.
            generator: source of randomness, on the CPU.

        Returns:
            (B, L) int64, a new tensor.
        """
        u = torch.rand(x0.shape, generator=generator, dtype=torch.float64).to(x0.device)
        return torch.where(u < alpha.to(x0.device)[:, None], x0, self.mask_id)

    def prior(self, rows: int, length: int) -> Tensor:
        """Masks alone, (rows, length) int64."""
        return torch.full((rows, length), self.mask_id)
