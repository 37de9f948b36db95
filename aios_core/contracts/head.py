"""Projection heads: the way from a modality to the network's width and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from aios_core.contracts.tokenizer import Vocabulary


class Corruption(Protocol):
    """A forward process: it turns clean data into noise and knows nothing of schedules."""

    def corrupt(self, x0: Tensor, alpha: Tensor, generator: Generator) -> Tensor:
        """Noisy state at survival probability alpha.

        Args:
            x0: (B, L) int64 clean tokens.
            alpha: (B,) float64 survival probabilities.
            generator: source of randomness, on the CPU.

        Returns:
            (B, L) int64, a new tensor.
        """
        ...

    def prior(self, rows: int, length: int) -> Tensor:
        """Pure noise, (rows, length) int64."""
        ...


class HeadModule(Protocol):
    """What `ProjectionHead.build` returns: an `nn.Module` with two methods."""

    def encode(self, x: Tensor) -> Tensor:
        """(B, L) tokens to (B, L, D) states."""
        ...

    def decode(self, h: Tensor) -> Tensor:
        """(B, L, D) states to (B, L, V) logits, each position by itself."""
        ...


class ProjectionHead(ABC):
    """Projects a modality into the network and out of it, and says how it is corrupted."""

    @abstractmethod
    def build(self, dim: int, vocabulary: Vocabulary) -> nn.Module:
        """A freshly initialised module that is a `HeadModule`.

        Args:
            dim: D, the width of the backbone.
            vocabulary: sizes and special ids of the tokenizer.
        """

    @abstractmethod
    def corruption(self, vocabulary: Vocabulary) -> Corruption:
        """The forward process under which this head is trained."""
