"""L1: a narrow side network that steers a frozen model, after ControlNet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from attrs import evolve, field, frozen, validators
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from aios_core.contracts import Adaptation, Budget, Condition, EvolutionLevel, Experience
from aios_core.errors import EvolutionError
from aios_core.training.fitting import fit

if TYPE_CHECKING:
    from aios_core.contracts import AnyNetwork, Network


class ControlledBlock(nn.Module):
    """A block of the base, and the layer of the side network that reads and steers it.

    What the side network knows travels in features behind those of the base: w of its own, and the
    scale. So nothing is kept between calls, and several may be stacked.
    """

    def __init__(self, block: nn.Module, dim: int, layer: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.block, self.dim, self.width = block, dim, layer["tap"].shape[0]
        for name, tensor in layer.items():
            self.register_buffer(name, tensor)

    def forward(self, h: Tensor, *args: Any) -> Tensor:
        """(B, L, D + ... + w + 1) to the same."""
        own = self.width + 1
        # Products of what lies in one piece round alike, whatever else travels beside it.
        h, c, scale = h[..., :-own].contiguous(), h[..., -own:-1], h[..., -1:]
        out = self.block(h, *args)
        base = out[..., : self.dim].contiguous()
        seen = c + F.linear(base, self.get_buffer("tap"))
        inner = F.gelu(F.linear(seen, self.get_buffer("up")))
        c = c + F.linear(inner, self.get_buffer("down"))
        steered = base + scale * F.linear(c, self.get_buffer("zero"))
        return torch.cat((steered, out[..., self.dim :], c, scale), -1)


class ControlledBackbone(nn.Module):
    """A backbone whose blocks are controlled, between two times of the schedule."""

    def __init__(self, backbone: nn.Module, enter: Tensor, config: Mapping[str, float]) -> None:
        super().__init__()
        self.register_buffer("enter", enter)
        self.backbone = backbone  # last: from now on it answers for what is not found here
        self.scale = config["conditioning_scale"]
        self.start, self.end = config["control_guidance_start"], config["control_guidance_end"]

    def forward(self, h: Tensor, t: Tensor | None, condition: Any) -> Tensor:
        """(B, L, D) states at times t to (B, L, D)."""
        enter = self.get_buffer("enter")
        c = F.linear(h[..., : enter.shape[1]].contiguous(), enter)
        scale = c.new_full((*h.shape[:2], 1), self.scale)
        if t is not None:
            done = 1 - t.reshape(len(h), -1, 1)
            scale = scale * ((self.start <= done) & (done <= self.end))
        inner = condition and _widened(condition, h.shape[-1])
        out: Tensor = self.backbone(torch.cat((h, c, scale), -1), t, inner)
        return out[..., : h.shape[-1]]

    def __getattr__(self, name: str) -> Any:
        """What else the backbone can do, such as ``new_cache``."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("backbone"), name)


def _widened(condition: Condition, dim: int) -> Condition:
    """A condition for states behind whose first D features others travel.

    All positions are answered for, for the side network's features are those of all of them.
    """
    inject = condition.inject

    def injected(h: Tensor, layer: int) -> Tensor:
        assert inject is not None
        return torch.cat((inject(h[..., :dim].contiguous(), layer), h[..., dim:]), -1)

    return evolve(condition, part=None, inject=inject and injected)


@frozen
class Control(EvolutionLevel):
    """A side network beside the blocks of a frozen model (ControlNet-XS, arXiv 2312.06573).

    Every position by itself: it reads each block's states, which know the rest of the text, and
    adds to them by a linear map that starts at zero. Scale 0 is the model as it was.
    """

    name: ClassVar[str] = "l1-control"

    size_ratio: float = field(default=0.25, validator=[validators.gt(0), validators.le(1)])
    """Width over that of the model; less where the budget requires it."""
    conditioning_scale: float = field(
        default=1.0, validator=[validators.ge(-1e6), validators.le(1e6)]
    )
    """Factor of all that it adds."""
    control_guidance_start: float = field(
        default=0.0, validator=[validators.ge(0), validators.le(1)]
    )
    """Share of the schedule, from noise to text, at which it begins to steer."""
    control_guidance_end: float = field(default=1.0, validator=[validators.ge(0), validators.le(1)])
    """Share at which it ends."""
    learning_rate: float = field(default=5e-3, validator=[validators.gt(0), validators.le(1e3)])
    """Peak rate of AdamW."""
    replay: float = field(default=0.25, validator=[validators.ge(0), validators.le(100)])
    """Rows of the base domain in a batch, as a share of the target's."""

    def adapt(self, model: Network, experience: Experience, budget: Budget) -> Adaptation:
        """Train the side network, as wide as the budget allows."""
        blocks, dim = _blocks(model), _dim(model, experience)
        most = budget.share * model.num_parameters()
        # parameters(w) = (2 blocks + 1) dim w + 4 blocks w^2, solved for w
        b, a = (2 * len(blocks) + 1) * dim, 4 * len(blocks)
        width = math.floor((math.sqrt(b * b + 4 * a * most) - b) / (2 * a))
        width = min(width, max(1, round(self.size_ratio * dim)))
        if width < 1:
            raise EvolutionError(
                f"a side network of width 1 has {a + b} parameters; the budget is {most:.0f}"
            )
        generator = torch.Generator().manual_seed(experience.seed)
        like = next(model.parameters())

        def weight(rows: int, columns: int) -> Tensor:
            drawn = torch.randn(rows, columns, generator=generator) / math.sqrt(columns)
            return drawn.to(like).requires_grad_()

        tensors = {"enter": weight(width, dim)}
        for number in range(len(blocks)):
            tensors[f"{number}.tap"] = weight(width, dim)
            tensors[f"{number}.up"] = weight(2 * width, width)
            tensors[f"{number}.down"] = weight(width, 2 * width)
            tensors[f"{number}.zero"] = torch.zeros(dim, width).to(like).requires_grad_()
        config = {
            "conditioning_scale": self.conditioning_scale,
            "control_guidance_start": self.control_guidance_start,
            "control_guidance_end": self.control_guidance_end,
        }
        fit(
            _with(model, config, tensors),
            list(tensors.values()),
            experience,
            budget,
            learning_rate=self.learning_rate,
            replay=self.replay,
        )
        learned = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        return Adaptation(config, learned, sum(tensor.numel() for tensor in learned.values()))

    def apply(self, model: AnyNetwork, adaptation: Adaptation) -> AnyNetwork:
        """The model with the side network beside it."""
        return _with(model, adaptation.config, adaptation.tensors)


def _blocks(model: Network) -> nn.ModuleList:
    """The blocks of a backbone: its longest list of modules that is in no other."""
    lists: list[nn.ModuleList] = []
    inner: set[nn.Module] = set()
    for module in model.backbone.modules():  # what contains others comes before them
        if isinstance(module, nn.ModuleList) and module not in inner:
            lists.append(module)
            inner |= set(module.modules())
    if not lists:
        raise EvolutionError("the backbone has no list of blocks that could be steered")
    return max(lists, key=len)


def _dim(model: Network, experience: Experience) -> int:
    if not len(experience.target):
        raise EvolutionError("there is no evidence to learn from; expected at least one text")
    with torch.no_grad():
        dim: int = model.head.encode(model.place(experience.target.ids[:1])).shape[-1]
    return dim


def _with(
    model: AnyNetwork, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> AnyNetwork:
    fork = model.fork()
    blocks = _blocks(fork)
    enter = tensors.get("enter")
    if enter is None or enter.ndim != 2:
        raise EvolutionError("the side network lacks its first map, 'enter'")
    width, dim = enter.shape
    shapes = {
        "tap": (width, dim),
        "up": (2 * width, width),
        "down": (width, 2 * width),
        "zero": (dim, width),
    }
    expected = {f"{n}.{name}": shape for n in range(len(blocks)) for name, shape in shapes.items()}
    expected["enter"] = (width, dim)
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if given != expected:
        odd = min(given.items() ^ expected.items())
        raise EvolutionError(f"the side network does not fit the model: {odd[0]!r:.80} {odd[1]}")
    known = {"conditioning_scale", "control_guidance_start", "control_guidance_end"}
    if set(config) != known or not all(isinstance(v, int | float) for v in config.values()):
        raise EvolutionError(
            f"the side network's configuration: expected numbers for {sorted(known)}"
        )
    place = model.device
    for number in range(len(blocks)):
        layer = {name: tensors[f"{number}.{name}"].to(place) for name in shapes}
        holder: nn.Module = blocks
        name = str(number)
        while isinstance(inner := holder.get_submodule(name), ControlledBlock):
            holder, name = inner, "block"  # the newest stands next to the block: see its features
        holder.register_module(name, ControlledBlock(inner, dim, layer))
    fork.backbone = ControlledBackbone(fork.backbone, enter.to(place), config)
    try:
        with torch.no_grad():
            x = torch.zeros(1, 2, dtype=torch.long, device=place)
            fork.states(x, None if model.mode == "ar" else torch.ones(1, device=place).double())
    except (RuntimeError, TypeError) as error:
        raise EvolutionError(
            "l1-control steers backbones that pass their states from block to block and do nothing "
            f"else with them; this one does: {error!s:.200}"
        ) from error
    return fork.train(model.training)
