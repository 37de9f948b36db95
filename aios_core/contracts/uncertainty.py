"""Estimators of uncertainty: measures of how unsure a network is of a text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from attrs import evolve, frozen

if TYPE_CHECKING:
    from torch import Tensor


@frozen(eq=False)
class MaskLevel:
    """What a network says of N hidden tokens, at one share of masks."""

    rate: float
    """The share of masks: the noise level."""
    hidden: Tensor
    """(B, L) bool: where the N tokens are, row by row."""
    tokens: Tensor
    """(N,) int64: what stands there."""
    log_probs: Tensor
    """(N, V) float32."""
    before: Tensor | None
    """(N,) int64: the likeliest tokens at the level before, of more masks; None at the first."""

    @property
    def said(self) -> Tensor:
        """(N,) log-probability of what stands there."""
        return self.log_probs.gather(-1, self.tokens[:, None])[:, 0]

    def tempered(self, temperature: float) -> MaskLevel:
        """The same with log-probabilities divided by a temperature, and normalised."""
        return evolve(self, log_probs=(self.log_probs / temperature).log_softmax(-1))

    def rows(self, values: Tensor) -> Tensor:
        """(B,) sums over rows of values (N,), in float64."""
        owners, values = self.hidden.nonzero()[:, 0], values.double()
        return values.new_zeros(len(self.hidden)).index_add_(0, owners, values)

    def mean(self, values: Tensor, counted: Tensor | None = None) -> Tensor:
        """(B,) means over the hidden tokens of each row, or over those of them that are counted.

        Args:
            values: (N,).
            counted: (B, L) bool, what counts of each text.
        """
        if counted is None:
            return self.rows(values) / self.hidden.sum(-1)
        counted = counted.to(self.hidden.device)
        kept = values.where(counted[self.hidden], 0)
        return self.rows(kept) / (self.hidden & counted).sum(-1)


class UncertaintyEstimator(ABC):
    """A measure of how unsure a network is of each hidden token: higher is more unsure.

    It is built without values: no configuration holds one. A whole estimator is in
    ``aios_core/scaffold/examples/uncertainty.py``.
    """

    @abstractmethod
    def measure(self, level: MaskLevel) -> Tensor:
        """(N,) finite numbers, one for each hidden token of a level; the level is left as it is.

        The number of a token depends on no other token.
        """
