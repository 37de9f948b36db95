"""The head of patches: numbers that are many and alike, through a narrow way in."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen, validators
from torch import Tensor, nn

from aios_core.contracts import Continuous, ProjectionHead, Space
from aios_core.errors import PluginError


class PatchesModule(nn.Module):
    """C numbers to D by way of a bottleneck, and back behind a normalisation."""

    def __init__(self, dim: int, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.inward = nn.Sequential(
            nn.Linear(channels, bottleneck, bias=False), nn.Linear(bottleneck, dim)
        )
        self.norm = nn.RMSNorm(dim)
        self.outward = nn.Linear(dim, channels)
        # The first prediction is the mean of what is clean, which codecs bring to 0.
        nn.init.zeros_(self.outward.weight)
        nn.init.zeros_(self.outward.bias)

    def encode(self, x: Tensor) -> Tensor:
        """(B, L, C) numbers to (B, L, D) states."""
        states: Tensor = self.inward(x.to(self.outward.weight.dtype))
        return states

    def decode(self, h: Tensor) -> Tensor:
        """(B, L, D) states to (B, L, C) clean means."""
        means: Tensor = self.outward(self.norm(h))
        return means


@frozen
class Patches(ProjectionHead):
    """Patches of pictures: a linear map of low rank in, RMSNorm and a linear map out.

    What is clean lies on far fewer dimensions than a patch has numbers, so that a narrow way in
    helps rather than harms (JiT, arXiv 2511.13720).
    """

    spaces: ClassVar = (Continuous,)

    bottleneck: int = field(default=64, validator=[validators.ge(1), validators.le(2**16)])
    """Numbers of the way in; fewer are taken where a patch or the network has fewer."""

    def build(self, dim: int, space: Space) -> PatchesModule:
        """A freshly initialised head for C channels.

        Raises:
            PluginError: the space is one of tokens.
        """
        if not isinstance(space, Continuous):
            raise PluginError(f"Patches is for numbers; expected a continuous space, got {space}")
        narrow = min(self.bottleneck, dim, space.channels)
        return PatchesModule(dim, space.channels, narrow)
