"""The head of a text model: tokens in, logits out."""

from __future__ import annotations

import math
from typing import Literal

from attrs import field, frozen, validators
from torch import Tensor, nn

from aios_core.contracts import ProjectionHead, Space, Vocabulary
from aios_core.diffusion.norm import RMSNorm


class TextModule(nn.Module):
    """Embedding, and the linear map back behind a normalisation."""

    def __init__(self, config: Text, dim: int, size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, dim)
        self.norm = RMSNorm(dim, config.eps, rounds_first=config.norm_rounds_first)
        self.linear = nn.Linear(dim, size, bias=False)
        # Small, so that the first prediction is nearly uniform and the first loss about log V.
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.linear.weight, std=0.02)
        if config.tied:
            self.linear.weight = self.embedding.weight
        # Rows that are small enough to decode are too small as states.
        self.scale = math.sqrt(dim) if config.scale == "sqrt" else 1.0

    def encode(self, x: Tensor) -> Tensor:
        """(B, L) tokens to (B, L, D) states."""
        states: Tensor = self.embedding(x)
        return states * self.scale

    def decode(self, h: Tensor) -> Tensor:
        """(B, L, D) states to (B, L, V) logits."""
        logits: Tensor = self.linear(self.norm(h))
        return logits


@frozen
class Text(ProjectionHead):
    """Token embedding in, RMSNorm and a linear map out."""

    tied: bool = True
    """Decode with the embedding itself, which halves the parameters that grow with V."""

    scale: Literal["sqrt", "one"] = "sqrt"
    """By what embeddings are multiplied to be states: the root of the width, or nothing, as
    published networks have it."""
    eps: float | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.gt(0), validators.le(1))),
    )
    """Added to the mean square in the norm; unset: the machine epsilon of the states."""
    norm_rounds_first: bool = False
    """Round what is normalised to the type of the states before it is multiplied by the weight, as
    Llama and its kin do; in float32 it makes no difference."""

    def build(self, dim: int, space: Space) -> TextModule:
        """A freshly initialised head for V tokens."""
        return TextModule(self, dim, Vocabulary.of(space, self).size)
