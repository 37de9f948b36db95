"""Randomness of samplers: one generator a row, all rows at once.

A row's draws are a pure function of its seed, of how many draws came before, and of the position.
So a row draws the same numbers alone and in any batch, padded or not, on every device; and 100,000
rows cost no loop, as generators that carry a state would. Each row is SplitMix64 (Steele, Lea
and Flood, 2014), whose n-th number can be had without those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor


def _signed(number: int) -> int:
    """The low 64 bits as the signed integer that has them; torch wraps around just as well."""
    return (number + 2**63) % 2**64 - 2**63


_GOLDEN: Final = _signed(0x9E3779B97F4A7C15)
_FIRST: Final = _signed(0xBF58476D1CE4E5B9)
_SECOND: Final = _signed(0x94D049BB133111EB)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical shift to the right."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def splitmix64(state: Tensor) -> Tensor:
    """Output function of SplitMix64, elementwise on int64 seen as 64 bits."""
    z = (state ^ _shift(state, 30)) * _FIRST
    z = (z ^ _shift(z, 27)) * _SECOND
    return z ^ _shift(z, 31)


class RowRandom:
    """One random stream for each row.

    Args:
        seeds: B integers; equal seeds give equal streams.
        length: L, positions a row.
        device: where numbers are wanted.
    """

    def __init__(
        self, seeds: Sequence[int], length: int, device: torch.device | str = "cpu"
    ) -> None:
        states = torch.tensor([_signed(seed) for seed in seeds], device=device)
        self._keys = splitmix64(states + _GOLDEN)[:, None]  # seeds 0, 1, 2, ... start far apart
        self._positions = torch.arange(1, length + 1, device=device)
        self._draws = 0

    def uniform(self) -> Tensor:
        """(B, L) float64 uniforms in [0, 1), multiples of 2^-53."""
        index = self._positions + (self._draws << 32)
        self._draws += 1
        return _shift(splitmix64(self._keys + index * _GOLDEN), 11).double() * 2.0**-53

    def categorical(
        self, log_probs: Tensor, where: Tensor, temperature: float, mask_id: int
    ) -> Tensor:
        """Draw a token where asked, by inverse distribution function in float64.

        Args:
            log_probs: (B, L, V); entries of minus infinity are never drawn.
            where: (B, L) bool.
            temperature: divides log-probabilities; 0 takes the most probable token.
            mask_id: the answer where not asked.

        Returns:
            (B, L) int64.
        """
        u = self.uniform()[where]
        weights = log_probs[where].double()
        if temperature == 0:
            drawn = weights.argmax(-1)
        else:
            weights -= weights.amax(-1, keepdim=True)
            weights /= temperature
            cumulative = weights.exp_().cumsum_(-1)
            # To the right of equal values: a token without probability adds nothing to the sum.
            target = (u * cumulative[:, -1])[:, None]
            drawn = torch.searchsorted(cumulative, target, right=True)[:, 0]
        return torch.full_like(where, mask_id, dtype=torch.int64).masked_scatter(where, drawn)
