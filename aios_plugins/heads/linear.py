"""The head of numbers: a linear map in and another one out."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen
from torch import Tensor, nn

from aios_core.contracts import Continuous, ProjectionHead, Space
from aios_core.errors import PluginError


class LinearModule(nn.Module):
    """C numbers to D and back, the way back behind a normalisation."""

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.inward = nn.Linear(channels, dim)
        self.norm = nn.RMSNorm(dim)
        self.outward = nn.Linear(dim, channels)
        # The first prediction is the mean of what is clean, which codecs bring to 0.
        nn.init.zeros_(self.outward.weight)
        nn.init.zeros_(self.outward.bias)

    def encode(self, x: Tensor) -> Tensor:
        """(B, L, C) numbers to (B, L, D) states."""
        states: Tensor = self.inward(x.to(self.inward.weight.dtype))
        return states

    def decode(self, h: Tensor) -> Tensor:
        """(B, L, D) states to (B, L, C) clean means."""
        means: Tensor = self.outward(self.norm(h))
        return means


@frozen
class Linear(ProjectionHead):
    """Numbers by a linear map in, RMSNorm and a linear map out: frames of sound, codes, patches."""

    spaces: ClassVar = (Continuous,)

    def build(self, dim: int, space: Space) -> LinearModule:
        """A freshly initialised head for C channels.

        Raises:
            PluginError: the space is one of tokens.
        """
        if not isinstance(space, Continuous):
            raise PluginError(f"Linear is for numbers; expected a continuous space, got {space}")
        return LinearModule(dim, space.channels)
