"""Randomness of samplers: one generator a row, all rows at once.

A row's draws are a pure function of its seed, of how many draws came before, and of the position.
So a row draws the same numbers alone and in any batch, padded or not, on every device; and 100,000
rows cost no loop, as generators that carry a state would. Each row is SplitMix64 (Steele, Lea
and Flood, 2014), whose n-th number can be had without those before it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from copy import copy
from functools import cache
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from aios_core.diffusion.chunking import chunks, entries_on, joined
from aios_core.tensor_cache import count, doubtful, highest

if TYPE_CHECKING:
    from aios_core.contracts import Randomness


def _signed(number: int) -> int:
    """The low 64 bits as the signed integer that has them; torch wraps around just as well."""
    return (number + 2**63) % 2**64 - 2**63


_GOLDEN: Final = _signed(0x9E3779B97F4A7C15)
_FIRST: Final = _signed(0xBF58476D1CE4E5B9)
_SECOND: Final = _signed(0x94D049BB133111EB)

_AHEAD: Final = 64
"""Draws whose uniforms are made together, for it takes as many launches as one draw."""
_AHEAD_ENTRIES: Final = 2**16
"""Unless there are so many rows and positions that the numbers themselves take the time."""


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical shift to the right."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def splitmix64(state: Tensor) -> Tensor:
    """Output function of SplitMix64, elementwise on int64 seen as 64 bits."""
    z = (state ^ _shift(state, 30)) * _FIRST
    z = (z ^ _shift(z, 27)) * _SECOND
    return z ^ _shift(z, 31)


def _unit(bits: Tensor) -> Tensor:
    """The upper 53 bits as float64 in [0, 1)."""
    return _shift(bits, 11).double() * 2.0**-53


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
        self._begin(states, length, process)

    def _begin(
        self,
        states: Tensor,
        length: int,
        process: Callable[[Tensor, Tensor, float], Tensor] | None = None,
    ) -> None:
        device = states.device
        self._keys = splitmix64(states + _GOLDEN)[:, None]  # seeds 0, 1, 2, ... start far apart
        self._positions = torch.arange(1, length + 1, device=device)
        self._forks: tuple[int, ...] = ()
        self._draws = 0
        self._ahead: Tensor | None = None
        self._first = 0  # of the draws that `_ahead` holds
        self._process = process
        self._invalid: list[Tensor] = []  # the same for all that are forked

    @classmethod
    def numbered(cls, key: int, rows: range, length: int) -> RowRandom:
        """Streams of rows by their numbers: as many as there are rows, wherever they are split.

        Args:
            key: of 64 bits; what the rows belong to, as a step of a training.
            rows: numbers of the rows.
            length: L.
        """
        made = cls.__new__(cls)
        numbers = torch.arange(rows.start, rows.stop)
        made._begin(splitmix64((numbers + 1) * _GOLDEN + _signed(key)), length)  # noqa: SLF001
        return made

    def fork(self, number: int) -> RowRandom:
        """New streams that depend on the seeds and a number, not on what was drawn before."""
        forked = copy(self)
        forked._forks = (*self._forks, number)  # noqa: SLF001 - of its own class
        forked._draws, forked._ahead = 0, None  # noqa: SLF001
        return forked

    def window(self, start: int, stop: int) -> RowRandom:
        """The streams of some of the positions, which draw what they draw among all of them."""
        part = copy(self)
        part._positions = self._positions[start:stop]  # noqa: SLF001 - of its own class
        part._ahead = None  # noqa: SLF001
        return part

    def uniform(self, channels: int | None = None) -> Tensor:
        """(B, L) float64 uniforms in [0, 1), multiples of 2^-53.

        Args:
            channels: C, for so many of each position: (B, L, C). It counts as one draw.
        """
        if channels is not None:
            state = self._of_rows() + (self._positions + (self._draws << 32)) * _GOLDEN
            self._draws += 1
            channel = torch.arange(1, channels + 1, device=state.device) * _GOLDEN
            # The state is mixed first, or a channel would be that of a neighbour.
            return _unit(splitmix64(splitmix64(state)[..., None] + channel))
        rows, length = len(self._keys), len(self._positions)
        several = max(1, min(_AHEAD, _AHEAD_ENTRIES // (rows * length)))
        number = self._draws % several
        first = self._draws - number
        # By the first one that it holds: where nothing is drawn, `_draws` moves all the same.
        if self._ahead is None or self._first != first:
            ahead = torch.arange(several, device=self._keys.device)[:, None, None] << 32
            state = self._of_rows() + (self._positions + (ahead + (first << 32))) * _GOLDEN
            self._ahead = _unit(splitmix64(state))
            self._first = first
        self._draws += 1
        return self._ahead[number]

    def _of_rows(self) -> Tensor:
        """Keys (B, 1); of forks only now, for many a block is filled in without a draw."""
        keys = self._keys
        for fork in self._forks:
            keys = splitmix64(keys ^ splitmix64(torch.full_like(keys, fork + 1) * _GOLDEN))
        return keys

    def invalid(self) -> Tensor | None:
        """() bool: whether a token was drawn from what is no distribution, since it was asked last.

        None: all draws were from answers that are looked after by `doubtful`, as the loop around a
        sampler does with what the network says.
        """
        uncertain = torch.stack(self._invalid).any() if self._invalid else None
        self._invalid.clear()
        return uncertain

    def _check(self, log_probs: Tensor, where: Tensor) -> None:
        if doubtful.known(log_probs) is None:
            most = highest(log_probs)
            self._invalid.append((((most - most) != 0) & where).any())

    def categorical(
        self,
        log_probs: Tensor,
        where: Tensor,
        temperature: float,
        mask_id: int,
        bonus: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """As `Randomness.categorical` of the contracts, by inverse distribution function.

        What it is asked to draw from is not waited for: `invalid` says whether it was no
        distribution, and then what was drawn means nothing.
        """
        self._check(log_probs, where)
        if temperature == 0:
            self._draws += 2  # other draws are the same whatever the temperature
            entries = entries_on(log_probs.device)
            if bonus is None and self._process is None and log_probs.numel() <= entries:
                return log_probs.argmax(-1).where(where, mask_id)  # without a look at `where`
            uniforms = []
        else:
            uniforms = [self.uniform().flatten(), self.uniform().flatten()]
        number, flat = count(where), log_probs.flatten(0, 1)
        if not number:
            return torch.full_like(where, mask_id, dtype=torch.int64)
        at = None if number == len(flat) else indices(where)
        added = None if bonus is None else [part.flatten() for part in bonus]
        if at is not None:
            uniforms = [part[at] for part in uniforms]
            added = None if added is None else [part[at] for part in added]
        if self._process is None:
            drawn = draw(flat, uniforms, temperature, at, added)
        else:
            at = torch.arange(len(flat), device=flat.device) if at is None else at
            drawn = self._processed(flat, at, uniforms, temperature, added)
        if at is None or number == len(flat):
            return drawn.view_as(where)
        tokens = torch.full_like(flat[:, 0], mask_id, dtype=torch.int64)
        return tokens.index_copy_(0, at, drawn).view_as(where)

    def _processed(
        self,
        flat: Tensor,
        at: Tensor,
        uniforms: Sequence[Tensor],
        temperature: float,
        added: Sequence[Tensor] | None,
    ) -> Tensor:
        """Tokens (N,) of what the processor makes of the places ``at`` of (B L, V)."""
        assert self._process is not None
        parts = []
        # Smaller chunks, for it makes several copies in float64.
        for chunk in chunks(len(at), flat.shape[-1], entries_on(flat.device) // 4):
            weights = flat[at[chunk]].to(torch.float64, copy=True)
            if added is not None:
                token, gain = (part[chunk, None] for part in added)
                weights.scatter_add_(-1, token, gain.log1p())
            rows = at[chunk] // len(self._positions)
            weights = self._process(weights, rows, temperature)
            parts.append(draw(weights, [u[chunk] for u in uniforms], temperature))
        return joined(parts)


def indices(where: Tensor) -> Tensor:
    """(N,) int64 places of what is true among all entries, without a look at a known `count`."""
    return torch.nonzero_static(where.flatten(), size=count(where))[:, 0]


def draw(
    log_weights: Tensor,
    uniforms: Sequence[Tensor],
    temperature: float,
    at: Tensor | None = None,
    bonus: Sequence[Tensor] | None = None,
) -> Tensor:
    """One token for each row of log-weights, not normalised.

    A run of tokens is drawn first and then one of its tokens, each by the inverse distribution
    function in float64. So every token's weight is as exact as the log-weights are, however small
    it is, and no float64 tensor of the rows' size is made: what float32 loses are rare tokens in a
    sum over all, and in Gumbel noise (arXiv 2409.02908), not exponentials or sums of short runs.

    Args:
        log_weights: (M, V).
        uniforms: two of (N,) float64 in [0, 1), for the runs and for the tokens in them.
        temperature: divides the log-weights; 0 takes the highest, without uniforms.
        at: (N,) int64, rows that are drawn from; unset: all of them.
        bonus: (N,) int64 a token of each row, and (N,) float64 the share of its weight that comes
            on top, at least 0.

    Returns:
        (N,) int64.
    """
    vocab, rows = log_weights.shape[-1], len(log_weights) if at is None else len(at)
    cut = list(chunks(rows, vocab, entries_on(log_weights.device)))
    token, gain = (None, None) if bonus is None else (bonus[0][:, None], bonus[1][:, None])

    def part(chunk: slice) -> Tensor:
        return log_weights[chunk if at is None else at[chunk]]

    if temperature == 0:
        best = [part(chunk).max(-1) for chunk in cut]
        highest, drawn = joined([row.values for row in best]), joined([row.indices for row in best])
        if token is None or gain is None:
            return drawn
        own = joined([part(chunk).gather(-1, token[chunk]) for chunk in cut]) + gain.log1p()
        return torch.where(own[:, 0] > highest, token[:, 0], drawn)
    length = _run(vocab)
    weighed = [
        _shares(part(chunk), temperature, length, None if token is None else token[chunk])
        for chunk in cut
    ]
    shares = joined([share for share, _ in weighed])
    number = shares.shape[-1]
    if gain is not None:  # one run more, in float64, which no certainty overflows
        if temperature != 1:
            gain = (gain.log1p() / temperature).clamp(max=700).expm1()
        shares = torch.cat((shares, joined([share for _, share in weighed]) * gain), -1)
    run = _inverse(shares, uniforms[0])
    inner = run if gain is None else run.clamp(max=number - 1)
    runs = log_weights.view(len(log_weights), number, length)
    if at is None:
        inside = runs.gather(1, inner[:, :, None].expand(-1, -1, length))[:, 0]
    else:
        inside = runs[at, inner[:, 0]]
    if temperature != 1:
        inside = (inside - inside.amax(-1, keepdim=True)).div_(temperature)
    drawn = torch.add(_inverse(inside.softmax(-1), uniforms[1]), inner, alpha=length)
    return drawn[:, 0] if token is None else torch.where(run == number, token, drawn)[:, 0]


def _shares(
    log_weights: Tensor, temperature: float, length: int, token: Tensor | None
) -> tuple[Tensor, Tensor]:
    """What the runs of a length weigh (N, V / length), and one token of each row (N, 0 or 1)."""
    if temperature == 1:
        weights = log_weights.softmax(-1)
    else:  # small differences stay exact when the highest is taken off first
        weights = (log_weights - log_weights.amax(-1, keepdim=True)).div_(temperature).exp_()
    own = weights[:, :0] if token is None else weights.gather(-1, token)
    return weights.view(len(weights), -1, length).sum(-1), own


def _inverse(weights: Tensor, u: Tensor) -> Tensor:
    """The entry (N, 1) at which the sum of weights (N, M) goes beyond a share u (N,) of all."""
    cumulative = weights.cumsum(-1, dtype=torch.float64)
    # To the right of equal values: a token without probability adds nothing to the sum.
    place = torch.searchsorted(cumulative, cumulative[:, -1:] * u[:, None], right=True)
    return place.clamp_(
        max=weights.shape[-1] - 1
    )  # not a number goes anywhere; it is reported later


@cache
def _run(vocab: int) -> int:
    """Tokens of a run: the divisor of V that is nearest to its root, from above."""
    return next(n for n in range(math.isqrt(vocab - 1) + 1, vocab + 1) if vocab % n == 0)


if TYPE_CHECKING:

    def _offers(random: RowRandom) -> Randomness:
        return random
