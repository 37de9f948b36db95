"""The head of a text model: tokens in, logits out."""

from __future__ import annotations

import math

from attrs import frozen
from torch import Tensor, nn

from aios_core.contracts import ProjectionHead, Space, Vocabulary


class TextModule(nn.Module):
    """Embedding, and the linear map back behind a normalisation."""

    def __init__(self, dim: int, size: int, *, tied: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, dim)
        self.norm = nn.RMSNorm(dim)
        self.linear = nn.Linear(dim, size, bias=False)
        # Small, so that the first prediction is nearly uniform and the first loss about log V.
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.linear.weight, std=0.02)
        if tied:
            self.linear.weight = self.embedding.weight
        self.scale = math.sqrt(dim)  # rows that are small enough to decode are too small as states

    def encode(self, x: Tensor) -> Tensor:
        """(B, L) tokens to (B, L, D) states."""
        states: Tensor = self.embedding(x) * self.scale
        return states

    def decode(self, h: Tensor) -> Tensor:
        """(B, L, D) states to (B, L, V) logits."""
        logits: Tensor = self.linear(self.norm(h))
        return logits


@frozen
class Text(ProjectionHead):
    """Token embedding in, RMSNorm and a linear map out."""

    tied: bool = True
    """Decode with the embedding itself, which halves the parameters that grow with V."""

    def build(self, dim: int, space: Space) -> TextModule:
        """A freshly initialised head for V tokens."""
        return TextModule(dim, Vocabulary.of(space, self).size, tied=self.tied)
