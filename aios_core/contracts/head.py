"""Projection heads: the way from a modality to the network's width and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from aios_core.contracts.space import Space, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor, nn


class HeadModule(Protocol):
    """What `ProjectionHead.build` returns: an `nn.Module` with two methods."""

    def encode(self, x: Tensor) -> Tensor:
        """(B, L) tokens, or (B, L, C) numbers, to (B, L, D) states."""
        ...

    def decode(self, h: Tensor) -> Tensor:
        """(B, L, D) states to what is clean, (B, L, W), each position by itself.

        W is the width of the space: V logits of the clean token, or the means of C clean numbers.
        Never the noise and never a velocity: what is clean is the one thing that tokens and numbers
        have in common, and a network need not tell noise apart to say it (arXiv 2511.13720).
        """
        ...


class ProjectionHead(ABC):
    """Projects a modality into the network and out of it."""

    spaces: ClassVar[tuple[type[Space], ...]] = (Vocabulary,)
    """Kinds of spaces that it serves."""

    @abstractmethod
    def build(self, dim: int, space: Space) -> nn.Module:
        """A freshly initialised module that is a `HeadModule`.

        Args:
            dim: D, the width of the backbone.
            space: what a position of a state is; a head of tokens asks `Vocabulary.of` for its
                sizes and special ids, which refuses any other space.

        Raises:
            PluginError: it is no head for such states.
        """
