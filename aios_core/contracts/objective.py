"""Objectives: what training minimises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from aios_core.contracts.model import Network


class Objective(ABC):
    """A loss of a diffusion model, estimated with one noisy state a row.

    `aios_core.diffusion.objective` has the pieces that the default ones are made of. It is for
    training alone: evaluation measures the bound of the likelihood whatever was minimised.
    """

    absorbing_only: ClassVar[bool] = False
    """Whether it needs noise to be masks alone; False: it serves every corruption."""

    bound: ClassVar[bool] = True
    """Whether its mean over times and noise is a bound of -log p; the contract suite holds those
    that say so against the likelihood of an enumerated joint."""

    @abstractmethod
    def losses(
        self, model: Network, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator
    ) -> Tensor:
        """One estimate for each row.

        Args:
            model: in training mode.
            x0: (B, L) int64 clean tokens.
            valid: (B, L) bool, False at padding, which is neither corrupted nor predicted.
            times: (B, N) float64, uniform in [0, 1] and stratified over the batch; N is 1, or the
                number of blocks of a network that is trained block by block.
            generator: of the noise, on the CPU.

        Returns:
            (B,) nats: a sum over the positions of a row, never a mean over the masked ones.
        """
