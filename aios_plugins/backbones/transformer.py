"""The default backbone: a pre-norm transformer, bidirectional or causal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

import torch
from attrs import Attribute, field, frozen, validators
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from aios_core.contracts import Backbone, Condition
from aios_core.diffusion.norm import RMSNorm
from aios_core.diffusion.rounding import filled, tile

TIME_FEATURES = 64
POSITIONS = 1024
"""Positions whose angles are known from the start; those of more are made when they come."""


def angles(positions: int, width: int, theta: float | None = None) -> Tensor:
    """(positions, 2, width / 2) cosines and sines of the turns of each position.

    Kept rather than computed in each call, for compilers would compute them in each layer.
    """
    exponent = torch.arange(0, width, 2) / width
    # Published networks were trained with the reciprocal of the power, which is rounded twice.
    slowing = 10_000**-exponent if theta is None else 1 / theta**exponent
    turn = torch.arange(positions)[:, None] * slowing
    return torch.stack((turn.cos(), turn.sin()), 1)


def turns(angles: Tensor, places: slice | Tensor) -> Tensor:
    """(..., L, 2, width / 2) cosines and sines of places, (..., L, A) on A axes.

    The axes take turns with the pairs of features, so that each has slow ones and fast ones; on one
    axis it is what `angles` holds.
    """
    if isinstance(places, slice):
        return angles[places]
    axes = places.shape[-1]
    if axes == 1:
        return angles[places[..., 0]]
    pair = torch.arange(angles.shape[-1], device=angles.device)
    chosen = angles.permute(0, 2, 1)[places[..., pair % axes], pair]  # (..., L, width / 2, 2)
    return chosen.transpose(-1, -2)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pairs of features by angles that grow with position (RoPE, arXiv 2104.09864).

    Args:
        x: (B, H, L, W); features behind the first R stay as they are.
        cos: (L, R / 2) cosines of the angles.
        sin: their sines.
    """
    turned = 2 * cos.shape[-1]
    a, b = x[..., :turned].chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin, *_behind(x, turned)), -1)


def _behind(x: Tensor, turned: int) -> tuple[Tensor, ...]:
    return () if turned == x.shape[-1] else (x[..., turned:],)


class KeyValueCache:
    """Keys and values of positions that were read, a pair of tensors a layer.

    Attributes:
        capacity: most positions that it takes.
        length: positions in front of the input; what lies behind them is overwritten next.
        behind: positions behind the input that are seen as they were read before.
    """

    def __init__(self, layers: int, capacity: int) -> None:
        self.capacity, self.length, self.behind = capacity, 0, 0
        self._layers: list[Tensor | None] = [None] * layers

    def extend(self, layer: int, new: Tensor) -> Tensor:
        """Add keys and values (2, B, G, L, W) and give all, (2, B, G, P + L + S, W)."""
        start, end = self.length, self.length + new.shape[-2]
        last = end + self.behind
        assert last <= self.capacity, f"{last} positions do not fit into a cache of {self.capacity}"
        held = self._layers[layer]
        if held is None:  # only now are rows, type and device known
            held = new.new_empty((*new.shape[:-2], self.capacity, new.shape[-1]))
            self._layers[layer] = held
        held[..., start:end, :] = new
        return held[..., :last, :]

    def take(self, rows: Tensor) -> None:
        """Go on with some rows (n,) int64 of the batch, by number, in that order, also twice."""
        self._layers = [None if held is None else held[:, rows] for held in self._layers]


class View(NamedTuple):
    """What every layer needs to know of the positions."""

    rotary: tuple[Tensor, Tensor]
    """Cosines and sines, (L, R / 2) each; (B, 1, L, R / 2) where rows stand apart."""
    mask: Tensor | None
    """Broadcasts to (B, 1, L, P + L + S) bool, True where a query sees a key."""
    causal: bool
    """Instead of a mask: each of the L positions sees itself and those before."""
    cache: KeyValueCache | None
    part: slice | None = None
    """Of the L positions, those whose states are requested; unset: all. Set for the last layer
    alone, for the others' states are its keys and values."""


class Attention(nn.Module):
    """Multi-head attention with rotary positions."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        self.dropout, self.width = config.dropout, config.head_width
        self.split = config.heads, config.key_heads, config.key_heads
        self.qkv = nn.Linear(config.dim, sum(self.split) * self.width, bias=config.qkv_bias)
        self.out = nn.Linear(config.heads * self.width, config.dim, bias=False)
        self.norms = (
            nn.ModuleList(config.norm(self.width) for _ in range(2)) if config.qk_norm else None
        )
        self.full_precision = config.full_precision_rotation

    def _rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        return rotate(x.float(), cos, sin).to(x) if self.full_precision else rotate(x, cos, sin)

    def forward(self, h: Tensor, view: View, layer: int) -> Tensor:
        """(B, L, D) to (B, L, D), or to those of the part."""
        heads = self.qkv(h).unflatten(-1, (-1, self.width)).transpose(1, 2)
        q, k, v = heads.split(self.split, 1)
        if self.norms is not None:
            q, k = self.norms[0](q), self.norms[1](k)
        turns, mask = view.rotary, view.mask
        k = self._rotate(k, *turns)
        if view.part is not None:
            q, (cos, sin) = q[:, :, view.part], turns
            turns = cos[..., view.part, :], sin[..., view.part, :]
            mask = mask if mask is None or mask.shape[-2] == 1 else mask[..., view.part, :]
        q = self._rotate(q, *turns)
        if view.cache is not None:
            k, v = view.cache.extend(layer, torch.stack((k, v)))
        h = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=view.causal,
            enable_gqa=q.shape[1] != k.shape[1],
        )
        out: Tensor = self.out(h.transpose(1, 2).flatten(2))
        return out


class SwiGLU(nn.Module):
    """Gated feed-forward network (arXiv 2002.05202)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(dim, 2 * hidden, bias=False)
        self.out = nn.Linear(hidden, dim, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        """(B, L, D) to (B, L, D)."""
        gate, value = self.up(h).chunk(2, -1)
        out: Tensor = self.out(F.silu(gate) * value)
        return out


class Block(nn.Module):
    """Attention and feed-forward network, each behind a norm and on a residual path."""

    def __init__(self, config: Transformer, *, timed: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleList(config.norm(config.dim) for _ in range(2))
        self.attention = Attention(config)
        self.feed_forward = SwiGLU(config.dim, round(config.expansion * config.dim))
        self.dropout = nn.Dropout(config.dropout)
        self.modulation = nn.Linear(config.dim, 4 * config.dim) if timed else None

    def forward(self, h: Tensor, time: Tensor | None, view: View, layer: int) -> Tensor:
        """(B, L, D) to (B, L, D), or to the part.

        Time is (B, 1, D), (B, L, D) or None, maybe of more rows than there are.
        """
        first, second = self.norms[0](h), []
        if self.modulation is not None:
            scale, shift, *second = self.modulation(time)[: len(h)].chunk(4, -1)
            first = first * (1 + scale) + shift
        if view.part is not None:
            second = [part if part.shape[1] == 1 else part[:, view.part] for part in second]
            h = h[:, view.part]
        h = h + self.dropout(self.attention(first, view, layer))
        inner = self.norms[1](h)
        if second:
            inner = inner * (1 + second[0]) + second[1]
        out: Tensor = h + self.dropout(self.feed_forward(inner))
        return out


class TransformerModule(nn.Module):
    """A stack of blocks; what `Transformer.build` returns."""

    def __init__(self, config: Transformer, *, causal: bool) -> None:
        super().__init__()
        timed = config.time_conditioned and not causal  # an autoregressive network has no time
        self.causal, self.turned, self.theta = causal, config.turned, config.theta
        self.full_precision = config.full_precision_rotation
        self.angles: Tensor
        self.register_buffer("angles", self._angles(POSITIONS), persistent=False)
        self.blocks = nn.ModuleList(Block(config, timed=timed) for _ in range(config.layers))
        self.time = (
            nn.Sequential(
                nn.Linear(TIME_FEATURES, config.dim), nn.SiLU(), nn.Linear(config.dim, config.dim)
            )
            if timed
            else None
        )
        for name, parameter in self.named_parameters():
            if "modulation" in name or name.endswith("bias"):
                nn.init.zeros_(parameter)  # the network starts independent of the time
            elif parameter.ndim == 2:
                # What is added to the residual path 2 * layers times keeps its variance.
                residual = name.endswith("out.weight")
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * config.layers * residual or 1))

    def _angles(self, positions: int) -> Tensor:
        return angles(positions, self.turned, self.theta)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What `.to()` does; the angles keep their precision, for bfloat16 is off by 2e-3."""
        before = self.angles
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        after = self.angles
        if before.is_meta and not after.is_meta:
            self.angles = self._angles(len(before)).to(after.device)  # `to_empty` left them unset
        elif after.dtype != torch.float32:
            self.angles = before.to(after.device)
        return self

    def forward(self, h: Tensor, t: Tensor | None, condition: Condition | None) -> Tensor:
        """(B, L, D) states at times t (B,) or (B, L) to (B, L, D), or to the part asked for."""
        cache = None if condition is None else condition.cache
        assert cache is None or isinstance(cache, KeyValueCache)
        past, behind = (0, 0) if cache is None else (cache.length, cache.behind)
        length = h.shape[1]
        if past + length > len(self.angles):
            self.angles = self._angles(2 * (past + length)).to(h.device)
        key = torch.arange(past + length + behind, device=h.device)
        query = key[past : past + length, None]
        places: slice | Tensor = slice(past, past + length)
        mask = None
        if condition is not None:
            mask = condition.mask
            mask = mask[:, None] if mask is not None and mask.ndim == 3 else mask
            # Rows may stand in places of their own; all heads of a row stand in the same.
            places = places if condition.positions is None else condition.positions[:, None]
        if condition is not None and condition.valid is not None:
            # Padding sees itself, for attention to nothing at all is not a number.
            seen = condition.valid[:, None, None, :] | (key == query)
            mask = seen if mask is None else seen & (mask | (key == query))
            mask = mask & (key <= query) if self.causal else mask
        elif mask is None and self.causal and past and length > 1:
            mask = key <= query
        kind = torch.float32 if self.full_precision else h.dtype
        cos, sin = turns(self.angles, places).to(kind).unbind(-2)
        view = View(
            rotary=(cos, sin),
            mask=mask,
            causal=self.causal and mask is None and not past,
            cache=cache,
        )
        time = None
        if self.time is not None:
            assert t is not None, "a network conditioned on time requires t, got None"
            features = t.reshape(len(t), -1, 1) * 2 ** torch.linspace(
                0, 10, TIME_FEATURES // 2, dtype=t.dtype, device=t.device
            )
            # Rows fill the tiles of a product, so that a row's numbers are the same alone.
            features = torch.cat((features.cos(), features.sin()), -1).to(h.dtype)
            time = self.time(features if self.training else filled(features, tile(h.device)))
        for layer, block in enumerate(self.blocks):
            if block is self.blocks[-1]:
                view = view._replace(part=_part(condition, causal=view.causal))
            h = block(h, time, view, layer)
            if condition is not None and condition.inject is not None:
                h = condition.inject(h, layer)
        if cache is not None:
            cache.length += length
        return h

    def new_cache(self, capacity: int) -> KeyValueCache:
        """An empty cache for up to so many positions."""
        return KeyValueCache(len(self.blocks), capacity)


def _part(condition: Condition | None, *, causal: bool) -> slice | None:
    """Of the positions those that the last layer is to answer for."""
    if condition is None or causal or condition.inject is not None:
        return None
    return condition.part


@frozen
class Transformer(Backbone):
    """Rotary positions, RMSNorm before each layer, SwiGLU; sees both sides, or the past alone."""

    serves_masks: ClassVar[bool] = True
    axes: ClassVar[int] = 3
    recomputed: ClassVar[str] = "blocks"

    dim: int = field(default=128, validator=[validators.ge(2), validators.le(65_536)])
    """D, the width; a multiple of twice the heads, where these have no width of their own."""
    layers: int = field(default=4, validator=[validators.ge(1), validators.le(1024)])
    """Blocks of attention and feed-forward network."""
    heads: int = field(default=4, validator=[validators.ge(1), validators.le(1024)])
    """H, attention heads."""
    kv_heads: int | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.ge(1), validators.le(1024))),
    )
    """G, heads of keys and values, each of which serves H / G of queries (arXiv 2305.13245); unset:
    as many as of queries."""
    head_dim: int | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.ge(2), validators.le(65_536))),
    )
    """W, width of a head, even; unset: D / H."""
    qkv_bias: bool = False
    """Add a bias to queries, keys and values, as Qwen2 does."""
    qk_norm: bool = False
    """Normalise queries and keys of each head before they are rotated, as Qwen3 does."""
    theta: float | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.ge(1), validators.le(1e12))),
    )
    """Base of the rotation, which turns the slowest pair of features once in about so many
    positions; unset: 10,000, rounded as in the networks that were trained without it."""
    rotary_dim: int | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.ge(2), validators.le(65_536))),
    )
    """R, features of a head that are rotated, the first of them; unset: all."""
    full_precision_rotation: bool = False
    """Rotate in float32 whatever the type of the states, as LLaDA does."""
    eps: float | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.gt(0), validators.le(1))),
    )
    """Added to the mean square in norms; unset: the machine epsilon of the states."""
    norm_rounds_first: bool = False
    """Round what is normalised to the type of the states before it is multiplied by the weight, as
    Llama and its kin do; in float32 it makes no difference."""
    expansion: float = field(default=3.0, validator=[validators.gt(0), validators.le(64)])
    """Hidden width of the feed-forward network over D; 8/3 has the size of an ungated one of 4."""
    dropout: float = field(default=0.0, validator=[validators.ge(0), validators.lt(1)])
    """Share of the features dropped in training. It is drawn by forward pass and not by row: with
    it, a step of 4 passes of 4 rows is not that of one of 16."""
    time_conditioned: bool = False
    """Tell the network the time, by scaling and shifting what each layer reads. A masked state
    shows its time by its masks, so this rarely helps, and it forbids reusing a prediction."""

    @kv_heads.validator
    def _groups(self, attribute: Attribute[Any], value: int | None) -> None:
        if value is not None and self.heads % value:
            raise ValueError(f"expected a divisor of heads = {self.heads}, got {value}")

    @head_dim.validator
    def _pairs(self, attribute: Attribute[Any], value: int | None) -> None:
        if value is not None:
            if value % 2:
                raise ValueError(f"rotary positions need an even width a head, got {value}")
        elif self.dim % (2 * self.heads):
            raise ValueError(
                f"rotary positions need an even width a head: dim = {self.dim} is not a multiple "
                f"of 2 * heads = {2 * self.heads}"
            )

    @rotary_dim.validator
    def _turns(self, attribute: Attribute[Any], value: int | None) -> None:
        if value is not None and (value % 2 or value > self.head_width):
            raise ValueError(
                f"expected an even number of features of {self.head_width}, got {value}"
            )

    @property
    def key_heads(self) -> int:
        """G, heads of keys and values."""
        return self.kv_heads or self.heads

    @property
    def head_width(self) -> int:
        """W, width of a head."""
        return self.head_dim or self.dim // self.heads

    @property
    def turned(self) -> int:
        """R, features of a head that are rotated."""
        return self.rotary_dim or self.head_width

    def norm(self, dim: int) -> RMSNorm:
        """A norm over so many features."""
        return RMSNorm(dim, self.eps, rounds_first=self.norm_rounds_first)

    @property
    def injections(self) -> int:
        """After each block."""
        return self.layers

    def build(self, *, causal: bool = False) -> TransformerModule:
        """A freshly initialised network."""
        return TransformerModule(self, causal=causal)
