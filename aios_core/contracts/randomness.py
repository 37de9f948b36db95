"""Randomness: a stream of numbers for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Randomness(Protocol):
    """One random stream for each row: its draws follow from its seed, whatever its batch mates.

    In training a row's seed is (seed, step, number of the row), so that what is drawn depends on
    no micro-batch and no machine. Two calls draw two different numbers.
    """

    def uniform(self, channels: int | None = None) -> Tensor:
        """(B, L) float64 uniforms in [0, 1).

        Args:
            channels: C, for so many of each position: (B, L, C).
        """
        ...

    def categorical(
        self,
        log_probs: Tensor,
        where: Tensor,
        temperature: float,
        mask_id: int,
        bonus: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Draw a token where asked.

        Args:
            log_probs: (B, L, V); entries of minus infinity are never drawn.
            where: (B, L) bool.
            temperature: divides log-probabilities; 0 takes the most probable token.
            mask_id: the answer where not asked.
            bonus: a token at each position, (B, L) int64, and the share (B, L) float64 of its
                weight that comes on top, at least 0; None: nothing.

        Returns:
            (B, L) int64.
        """
        ...

    def fork(self, number: int) -> Randomness:
        """New streams that depend on the seeds and a number, not on what was drawn before."""
        ...

    def window(self, start: int, stop: int) -> Randomness:
        """The streams of some of the positions, which draw what they draw among all of them."""
        ...

    def invalid(self) -> Tensor | None:
        """() bool: whether a token was drawn from what is no distribution since the last call.

        None: nothing was drawn but from answers that the loop around a sampler checks itself.
        """
        ...
