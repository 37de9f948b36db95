"""Randomness of samplers: one generator a row, all rows at once.

A row's draws are a pure function of its seed, of how many draws came before, and of the position.
So a row draws the same numbers alone and in any batch, padded or not, on every device; and 100,000
rows cost no loop, as generators that carry a state would. Each row is SplitMix64 (Steele, Lea
and Flood, 2014), whose n-th number can be had without those before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from copy import copy
from typing import Final

import torch
from torch import Tensor

from aios_core.diffusion.pieces import entries_on, pieces


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


def row_seed(seed: int, row: int) -> int:
    """Seed of one row, equal for all samplers, so that trials of one seed are paired."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{row}".encode()).digest()[:7], "big")


class RowRandom:
    """One random stream for each row.

    Args:
        seeds: B integers; equal seeds give equal streams.
        length: L, positions a row.
        device: where numbers are wanted.
        process: changes distributions before a token is drawn of them; a `LogitsProcessor`.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        length: int,
        device: torch.device | str = "cpu",
        process: Callable[[Tensor, Tensor, float], Tensor] | None = None,
    ) -> None:
        states = torch.tensor([_signed(seed) for seed in seeds], device=device)
        self._keys = splitmix64(states + _GOLDEN)[:, None]  # seeds 0, 1, 2, ... start far apart
        self._positions = torch.arange(1, length + 1, device=device)
        self._draws = 0
        self._process = process

    def fork(self, number: int) -> RowRandom:
        """New streams that depend on the seeds and a number, not on what was drawn before."""
        forked = copy(self)
        salt = torch.tensor(number + 1, device=self._keys.device) * _GOLDEN
        forked._keys = splitmix64(self._keys ^ splitmix64(salt))  # noqa: SLF001 - of its own class
        forked._draws = 0  # noqa: SLF001
        return forked

    def window(self, start: int, stop: int) -> RowRandom:
        """The streams of some of the positions, which draw what they draw among all of them."""
        part = copy(self)
        part._positions = self._positions[start:stop]  # noqa: SLF001 - of its own class
        return part

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
        rows, places = where.nonzero(as_tuple=True)
        u = self.uniform()[rows, places]
        drawn = torch.empty_like(rows)
        for piece in pieces(len(rows), log_probs.shape[-1], entries_on(log_probs.device)):
            weights = log_probs[rows[piece], places[piece]].double()
            if self._process is not None:
                weights = self._process(weights, rows[piece], temperature)
            drawn[piece] = _draw(weights, u[piece], temperature)
        return torch.full_like(where, mask_id, dtype=torch.int64).masked_scatter(where, drawn)


def _draw(weights: Tensor, u: Tensor, temperature: float) -> Tensor:
    """One token for each row of float64 log-weights (N, V), which are overwritten: (N,) int64."""
    if temperature == 0:
        return weights.argmax(-1)
    weights -= weights.amax(-1, keepdim=True)
    weights /= temperature
    cumulative = weights.exp_().cumsum_(-1)
    # To the right of equal values: a token without probability adds nothing to the sum.
    target = (u * cumulative[:, -1])[:, None]
    return torch.searchsorted(cumulative, target, right=True)[:, 0]
