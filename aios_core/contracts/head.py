"""Projection heads: the way from a modality to the network's width and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from aios_core.contracts.space import Vocabulary


class HeadModule(Protocol):
    """What `ProjectionHead.build` returns: an `nn.Module` with two methods."""

    def encode(self, x: Tensor) -> Tensor:
        """(B, L) tokens to (B, L, D) states."""
        ...

    def decode(self, h: Tensor) -> Tensor:
        """(B, L, D) states to (B, L, V) logits, each position by itself."""
        ...


class ProjectionHead(ABC):
    """Projects a modality into the network and out of it."""

    @abstractmethod
    def build(self, dim: int, vocabulary: Vocabulary) -> nn.Module:
        """A freshly initialised module that is a `HeadModule`.

        Args:
            dim: D, the width of the backbone.
            vocabulary: sizes and special ids of the tokenizer.
        """
