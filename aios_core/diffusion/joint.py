"""One network for several kinds of data: a backbone, and a part for each kind.

A row is segments, one of each kind or fewer: the positions of all stand side by side in one
sequence, where every position sees every other. The backbone knows their states, a time and a place
of each, and nothing else. Segments that are absent are left out. The bound of a row is the same on
every path that the times of its segments take from noise to clean, so their order is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from aios_core.component import blamed, named
from aios_core.contracts import Condition, Vocabulary
from aios_core.diffusion.process import process_of
from aios_core.errors import PluginError

if TYPE_CHECKING:
    from aios_core.contracts import Backbone, Codec, Modality


class Part(nn.Module):
    """What a network has for one kind of data: a head, a schedule, a process.

    Attributes:
        head: module of the projection head.
        noise: schedule of its times.
        process: its forward process.
        grid: positions along each axis.
    """

    def __init__(self, modality: Modality, codec: Codec, dim: int) -> None:
        super().__init__()
        with blamed(modality.head, "build"):
            self.head: Any = modality.head.build(dim, codec.space)
        with blamed(modality.noise, "build"):
            self.noise = modality.noise.build()
        self.process = process_of(modality.corruption, codec.space)
        self.grid, self.length = codec.grid, codec.length
        self._maker = modality.head

    def place(self, tensor: Tensor) -> Tensor:
        """A tensor on the device of the head."""
        return tensor.to(next(self.head.parameters()).device, non_blocking=True)

    def decode(self, h: Tensor) -> Tensor:
        """What is clean by states (..., D): logits (..., V) or means (..., C), float32 at least.

        Raises:
            PluginError: the head gives another shape.
        """
        decoded: Tensor = self.head.decode(h)
        if decoded.shape != (*h.shape[:-1], self.process.space.width):
            raise PluginError(
                f"{named(self._maker)} decodes states of shape {tuple(h.shape)} to "
                f"{tuple(decoded.shape)}; expected {(*h.shape[:-1], self.process.space.width)}"
            )
        return decoded.to(torch.promote_types(decoded.dtype, torch.float32))

    def logits(self, h: Tensor) -> Tensor:
        """Logits (..., V) of tokens; minus infinity for the mask."""
        logits, space = self.decode(h), self.process.space
        logits[..., Vocabulary.of(space, self._maker).mask_id] = -torch.inf
        return logits

    def log_probs(self, h: Tensor) -> Tensor:
        """Log-probabilities (..., V) of tokens, or means (..., C) of numbers."""
        if isinstance(self.process.space, Vocabulary):
            return self.logits(h).log_softmax(-1)
        return self.decode(h)

    def losses(self, h: Tensor, targets: Tensor) -> Tensor:
        """-log p in nats (N,) of tokens (N,) by states (N, D)."""
        return F.cross_entropy(self.logits(h[None])[0], targets, reduction="none")


class Joint(nn.Module):
    """States of all segments to what is clean in each.

    Attributes:
        parts: by the names of the modalities, in their order.
        backbone: module of the backbone, the trunk.
    """

    def __init__(
        self, backbone: Backbone, modalities: Mapping[str, tuple[Modality, Codec]]
    ) -> None:
        """A freshly initialised network.

        Raises:
            PluginError: the backbone is not one for segments, or a component has no use for a
                space.
        """
        super().__init__()
        axes = 1 + max(_axes(codec.grid) for _, codec in modalities.values())
        if not (backbone.serves_masks and backbone.time_conditioned and backbone.axes >= axes):
            raise PluginError(
                f"{named(backbone)} cannot be the trunk of several modalities; expected one that "
                f"is time_conditioned, takes a time for each position, and knows {axes} axes"
            )
        self.parts = nn.ModuleDict(
            {n: Part(m, codec, backbone.dim) for n, (m, codec) in modalities.items()}
        )
        with blamed(backbone, "build"):
            self.backbone = backbone.build()
        # Which kind a position is of, for an even start between the states of a text and a picture.
        self.kinds = nn.Embedding(len(self.parts), backbone.dim)
        nn.init.normal_(self.kinds.weight, std=0.02)
        first, places = 0, {}
        for name, part in self.named_parts():
            places[name] = _places(part.grid, first, axes)
            first += part.grid[0] if len(part.grid) == 1 else 1
        self._places = places

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.kinds.weight.device

    def num_parameters(self) -> int:
        """Numbers that it learns."""
        return sum(parameter.numel() for parameter in self.parameters())

    def trunk_share(self) -> float:
        """The share of its parameters that all modalities have in common."""
        trunk = sum(parameter.numel() for parameter in self.backbone.parameters())
        return trunk / self.num_parameters()

    def named_parts(self) -> Iterable[tuple[str, Part]]:
        """Each part with the name of its modality."""
        return self.parts.items()  # type: ignore[return-value]

    def part(self, name: str) -> Part:
        """The part of a modality."""
        part: Any = self.parts[name]
        return part  # type: ignore[no-any-return]

    def states(
        self,
        states: Mapping[str, Tensor],
        times: Mapping[str, Tensor],
        present: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """What the parts decode, (B, L, D) by name, with one call of the backbone.

        Args:
            states: (B, L) int64 or (B, L, C) of each segment; those that are left out are absent.
            times: (B,) or (B, L) float64 in [0, 1] of each: 0 where it is clean.
            present: (B,) bool of each, False in rows without it; unset: all are there.
        """
        names = [name for name in self.parts if name in states]
        hidden, clock, seen, places = [], [], [], []
        for name, kind in zip(self.parts, self.kinds.weight, strict=True):
            if name in states:
                part, x = self.part(name), states[name]
                hidden.append(part.head.encode(part.place(x)) + kind)
                clock.append(_times(part.place(times[name]), part.length))
                places.append(self._places[name])
                if present is not None:
                    seen.append(part.place(present[name])[:, None].expand(-1, part.length))
        h = torch.cat(hidden, 1)
        condition = Condition(
            valid=torch.cat(seen, 1) if seen else None,
            positions=torch.cat(places).to(h.device)[None],
        )
        h = self.backbone(h, torch.cat(clock, 1), condition)
        lengths = [self.part(name).length for name in names]
        return dict(zip(names, h.split(lengths, 1), strict=True))

    def forward(
        self, states: Mapping[str, Tensor], times: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """What is clean: log-probabilities (B, L, V) or means (B, L, C) by name."""
        h = self.states(states, times)
        return {name: self.part(name).log_probs(each) for name, each in h.items()}


def _axes(grid: tuple[int, ...]) -> int:
    """Axes of a grid besides the one along which segments stand; that is a line's own."""
    return 0 if len(grid) == 1 else len(grid)


def _places(grid: tuple[int, ...], first: int, axes: int) -> Tensor:
    """(L, A) int64: a line goes on along the first axis, and a grid stands at one place of it."""
    if len(grid) == 1:
        places: list[tuple[int, ...]] = [(first + i,) for i in range(grid[0])]
    else:
        places = [(first, *place) for place in product(*map(range, grid))]
    return F.pad(torch.tensor(places), (0, axes - len(places[0])))


def _times(t: Tensor, length: int) -> Tensor:
    """(B, L) of (B,) or (B, L)."""
    return t if t.ndim > 1 else t[:, None].expand(-1, length)
