"""Backbones: the network between the projections."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from torch import Tensor, nn


class Cache(Protocol):
    """What a module remembers of the positions that it has read, for one batch of rows."""

    length: int
    """P, the number of positions remembered; lower it to forget the last ones."""


@frozen
class Condition:
    """What a backbone may attend to besides its input; every field optional."""

    valid: Tensor | None = None
    """(B, P + L) bool: False at padding, wherever it stands, which no other position may see.
    None: all are valid."""
    cache: Cache | None = None
    """Of the P positions before the input, to which the module adds the input's. None: P = 0."""


class CachingModule(Protocol):
    """A module that need not read twice; any module of a backbone may be one.

    With a cache it answers for the L new positions alone, as it would have for all P + L at once
    if it is causal. A bidirectional one lets the new positions see all and leaves the answers for
    the old ones as they were: an approximation.
    """

    def new_cache(self, capacity: int) -> Cache:
        """An empty cache for up to so many positions."""
        ...


class Backbone(ABC):
    """Maps noisy states to clean ones, knowing nothing of tokens or schedules."""

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
        ``condition`` a `Condition` or None; the answer is (B, L, D).

        Args:
            causal: position i sees only positions up to i: the autoregressive twin.
        """
