"""Cross-attention from a network's states to memories, behind a gate that is closed at first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from aios_core.diffusion.rounding import tile, up

if TYPE_CHECKING:
    from aios_plugins.conditioners._recall import Memories

SCORE_SCALE = 5.0
"""What a score of 1 adds to the first head's logits before anything is learned; twice as much to
those of each next one, as the slopes of ALiBi (arXiv 2108.12409) differ."""


NEAR = 0.5
"""Score of a memory whose initial attention weight is a half, were it the only one."""


class MemoryCrossAttention(nn.Module):
    """Multi-head cross-attention of one layer to the memories.

    The way back into the states is zero at first (the zero layers of ControlNet,
    arXiv 2302.05543), so an untrained network says what it says without.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.RMSNorm(dim)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key_value = nn.Linear(dim, 2 * dim, bias=False)
        self.gate = nn.Linear(dim, dim, bias=False)
        # Near memories are believed more, as in RAG (arXiv 2005.11401); each head learns how much.
        self.sharpness = nn.Parameter(SCORE_SCALE * 2.0 ** torch.arange(heads))
        # Beside the memories stands nothing, as near as a score of NEAR is: else the farthest
        # memories would get as much attention as the nearest, for lack of others.
        self.nothing = nn.Parameter(self.sharpness.detach() * NEAR)
        nn.init.zeros_(self.gate.weight)

    def split(self, x: Tensor) -> Tensor:
        """(B, N, D) to (B, H, N, D / H)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def forward(self, h: Tensor, context: MemoryContext) -> Tensor:
        """What is to be added to states (B, L, D)."""
        key, value = self.key_value(context.tokens).chunk(2, -1)
        bias = self.sharpness[:, None, None] * context.scores[:, None, None]
        bias = bias.masked_fill(~context.valid[:, None, None], -torch.inf)
        nothing = self.nothing[:, None, None].expand(len(h), -1, 1, 1)
        bias = torch.cat((nothing, bias), -1).to(h.dtype)
        key, value = (F.pad(tensor, (0, 0, 1, 0)) for tensor in (key, value))
        read = F.scaled_dot_product_attention(
            self.split(self.query(self.norm(h))), self.split(key), self.split(value), bias
        )
        added: Tensor = self.gate(read.transpose(1, 2).flatten(2))
        return added


class MemoryContext:
    """Memories as keys, values and scores, one set for each row of a batch: an `Injection`.

    Args:
        memory: the part of the network that attends to them.
        vectors: (B, K, E).
        scores: (B, K).
        valid: (B, K) bool; a row without any attends to nothing.
    """

    def __init__(
        self, memory: MemoryAttention, vectors: Tensor, scores: Tensor, valid: Tensor
    ) -> None:
        count = memory.num_tokens
        self.memory = memory
        self.tokens: Tensor = memory.norm(
            memory.project(vectors).unflatten(-1, (count, -1)).flatten(1, 2)
        )
        """(B, K T, D)."""
        self.scores = scores.repeat_interleave(count, 1)
        self.valid = valid.repeat_interleave(count, 1)

    def __call__(self, h: Tensor, layer: int) -> Tensor:
        """States (B, L, D) after a layer, with what it takes from the memories."""
        added: Tensor = self.memory.layers[layer](h, self)
        return h + added


class MemoryAttention(nn.Module):
    """The learned part: a projection, and cross-attention for each layer.

    Args:
        dim: D, the width of the backbone.
        layers: how many layers attend to memories.
        width: E, numbers in a vector.
        num_tokens: T, what a vector is projected to.
        heads: of attention; they divide D.
    """

    def __init__(self, dim: int, layers: int, *, width: int, num_tokens: int, heads: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.project = nn.Linear(width, num_tokens * dim)
        self.norm = nn.RMSNorm(dim)
        self.layers = nn.ModuleList(MemoryCrossAttention(dim, heads) for _ in range(layers))

    def context(self, memories: Memories) -> MemoryContext:
        """Memories of B texts, on the device of the weights."""
        device = self.project.weight.device
        parts = [
            torch.from_numpy(part).to(device)
            for part in (memories.vectors, memories.scores, memories.valid)
        ]
        if not self.training:  # rows of products that leave a text's numbers to itself
            count = parts[2].shape[1]
            missing = up(count, tile(device)) - count
            parts = [F.pad(part, (0, 0) * (part.ndim - 2) + (0, missing)) for part in parts]
        return MemoryContext(self, *parts)
