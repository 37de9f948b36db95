"""Backbones: the network between the projections."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from torch import Tensor, nn

Caching = Literal["none", "prefix", "dual"]
"""What is not read again while a block is filled in: nothing, or, as an approximation, what stands
before the block, or all outside it (Fast-dLLM, arXiv 2505.22618, section 3.2)."""


class Cache(Protocol):
    """What a module remembers of the positions that it has read, for one batch of rows.

    It may also have ``take(rows)``: from now on the batch is some of its rows, (n,) int64 by
    number, in that order, also twice. Without it a prompt is read as often as rows fill a tile of
    a product (`aios_core.diffusion.rounding`), with it once.
    """

    capacity: int
    """Most positions that it takes."""
    length: int
    """P, the number of positions remembered; lower it to forget the last ones."""
    behind: int
    """S, positions behind the input that are remembered too, from when they were read; 0 unless it
    is set, which makes sense for a bidirectional module alone."""


class Injection(Protocol):
    """What a network adds between its layers: memories, controls."""

    def __call__(self, h: Tensor, layer: int) -> Tensor:
        """States (B, L, D) after a layer, from 0, to those that the next one reads.

        B is that of the batch, while L may be a part of the text, or the text twice: it answers
        position by position.
        """
        ...


@frozen
class Condition:
    """What a backbone may attend to besides its input; every field optional."""

    valid: Tensor | None = None
    """(B, P + L + S) bool: False at padding, wherever it stands, which no other position may see.
    None: all are valid."""
    cache: Cache | None = None
    """Of the P positions before the input and the S behind it, to which the module adds the
    input's. None: P = S = 0."""
    mask: Tensor | None = None
    """(L, P + L) bool, or (B, L, P + L) where rows are not alike: True where a position of the
    input may see another, whether the module is causal or not; for backbones that say
    ``serves_masks``. None: all is seen, or all before where the module is causal."""
    positions: Tensor | None = None
    """(B, L, A) int64, or (1, L, A) where all rows are alike: where each position of the input
    stands on A axes, likewise. A text has one, and stands at P, P + 1, ... where this is None."""
    part: slice | None = None
    """Of the L positions of the input, those whose states are wanted. A module may answer for these
    alone, (B, stop - start, D); one that does not know of it answers for all. None: all."""
    inject: Injection | None = None
    """Called after each layer, with its number, for backbones that count their ``injections``."""


class CachingModule(Protocol):
    """A module that need not read twice; any module of a backbone may be one.

    With a cache it answers for the L new positions alone, as it would have for all P + L at once
    if it is causal. A bidirectional one lets the new positions see all P + L + S and leaves the
    answers for the others as they were: an approximation, if anything has changed.
    """

    def new_cache(self, capacity: int) -> Cache:
        """An empty cache for up to so many positions."""
        ...


class Backbone(ABC):
    """Maps noisy states to clean ones, knowing nothing of tokens or schedules."""

    serves_masks: ClassVar[bool] = False
    """Whether its module obeys `Condition.mask` and `Condition.positions`, and takes a time for
    each position (B, L) where it takes times: what block diffusion needs."""

    axes: ClassVar[int] = 1
    """Most axes A of `Condition.positions` that its module knows."""

    recomputed: ClassVar[str | None] = None
    """Name, in its module, of the ``ModuleList`` of its layers, which ``gradient_checkpointing``
    computes again in the backward pass; each is called once in a pass. None: there is no such."""

    @property
    def injections(self) -> int:
        """How many layers of its module call `Condition.inject`, in order and in every pass.

        0, as for one that cannot use memories, unless it says otherwise.
        """
        return 0

    @property
    @abstractmethod
    def dim(self) -> int:
        """D, the width of the states."""

    @property
    @abstractmethod
    def time_conditioned(self) -> bool:
        """Whether the module's answer depends on t."""

    @abstractmethod
    def build(self, *, causal: bool = False) -> nn.Module:
        """A freshly initialised module, called as ``module(h, t, condition)``.

        ``h`` is (B, L, D), ``t`` is (B,) float64 in [0, 1] or None for a causal network,
        ``condition`` a `Condition` or None; the answer is (B, L, D), or of the condition's part.

        Args:
            causal: position i sees only positions up to i: the autoregressive twin.
        """
