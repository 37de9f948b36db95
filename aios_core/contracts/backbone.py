"""Backbones: the network between the projections."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from torch import Tensor, nn


@frozen
class Condition:
    """What a backbone may attend to besides its input; every field optional."""

    valid: Tensor | None = None
    """(B, L) bool: False at padding, which no other position may see. None: all are valid."""


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
