"""A hard constraint at work: around a denoiser, around the draws, and from left to right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from attrs import frozen

from aios_core.diffusion.constraints.paths import LEAST, Paths
from aios_core.diffusion.random import RowRandom
from aios_core.errors import InferenceError

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Denoiser
    from aios_core.diffusion.constraints.tokens import TokenAutomaton

_REFUSED: Final = -138.0
"""Logarithm of 1e-60: what top-k and the like refuse comes only where nothing else is accepted."""


@frozen(eq=False)
class TokenConstraint:
    """Rows that an automaton accepts.

    A prediction says how likely each token is at each position, as if positions were independent.
    Restricted to accepted rows they depend on each other. That restricted distribution is what
    samplers see, position by position, and what tokens are drawn from: those of one step together,
    so that they fit each other as well as what stands already. Where predictions are independent
    (as those of the positions of one step are taken to be) this is the model's distribution given
    the language, exactly, for every order of positions and any number of them at a time. At
    temperature 0 it is the most probable accepted row (as DINGO, arXiv 2505.23061).
    """

    automaton: TokenAutomaton

    def begin(
        self, denoiser: Denoiser, active: Tensor, mask_id: int, free: Tensor | None = None
    ) -> tuple[Denoiser, Callable[[RowRandom], RowRandom]]:
        """A denoiser and draws that know the language, for one batch.

        Args:
            denoiser: what is wanted of it.
            active: (B, L) bool: positions that the automaton reads, in order.
            mask_id: token id of the mask.
            free: (B, L) bool: positions that stand for nothing, whatever they hold, as under other
                noise than masks; unset: those that hold masks.
        """
        wrapped = _Constrained(self, denoiser, active, mask_id, free)
        return wrapped, lambda random: _Together.of(random, wrapped)

    def check(self, rows: Sequence[Sequence[int]], mask_id: int) -> None:
        """See that every row can be completed.

        Args:
            rows: what the automaton reads of each row, masks where tokens are wanted.
            mask_id: token id of the mask.

        Raises:
            InferenceError: no accepted row has this length and these tokens.
        """
        for number, row in enumerate(rows):
            states = np.zeros(len(self.automaton.table), dtype=np.bool_)
            states[0] = True
            for token in row:
                table = self.automaton.table[states]
                reached = (
                    table[:, 1:] if token == mask_id else table[:, self.automaton.classes[token]]
                )
                states = np.zeros_like(states)
                states[reached] = True
                states[-1] = False
            if not (states & self.automaton.accepting).any():
                given = sum(token != mask_id for token in row)
                raise InferenceError(
                    f"row {number}: no text of at most {len(row)} tokens satisfies the constraint"
                    + (f" with the {given} that are given" if given else "")
                )

    def restrict(
        self, lengths: Sequence[int]
    ) -> Callable[[Tensor, Sequence[Sequence[int]]], Tensor]:
        """What may come next from left to right, in rows that end after so many tokens."""
        ends = self.automaton.reachable(max(lengths))

        def allowed(log_probs: Tensor, written: Sequence[Sequence[int]]) -> Tensor:
            states = [self._state(row) for row in written]
            left = [max(end - len(row), 1) for end, row in zip(lengths, written, strict=True)]
            after = self.automaton.table[np.array(states)]
            good = np.take_along_axis(ends[np.array(left) - 1], after, 1)
            mask = torch.from_numpy(good[:, self.automaton.classes]).to(log_probs.device)
            mask |= ~mask.any(-1, keepdim=True)  # a row that is done, at which nobody looks
            return log_probs.clamp(min=LEAST).masked_fill(~mask, -torch.inf).log_softmax(-1)

        return allowed

    def _state(self, row: Sequence[int]) -> int:
        state = 0
        for token in row:
            state = int(self.automaton.table[state, self.automaton.classes[token]])
        return state


class _Constrained:
    """A denoiser whose answer is that of accepted rows, position by position."""

    def __init__(
        self,
        constraint: TokenConstraint,
        denoiser: Denoiser,
        active: Tensor,
        mask_id: int,
        free: Tensor | None,
    ) -> None:
        self.denoiser, self.time_conditioned = denoiser, denoiser.time_conditioned
        self.active, self.mask_id, self.free = active, mask_id, free
        self.paths = Paths(constraint.automaton, active.device)
        self.known: Tensor = torch.empty(0)
        self.outside: Tensor = torch.empty(0)
        self.answer: Tensor = torch.empty(0)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Log-probabilities (B, L, V) of the clean tokens, given x (B, L) at times t (B,)."""
        log_probs = self.denoiser(x, t)
        if bool(log_probs.isnan().any()):
            return log_probs  # which whoever asked reports
        unknown = x == self.mask_id if self.free is None else self.free
        self.known = x.masked_fill(unknown, -1)
        paths, free = self.paths, self.active & unknown
        weights = paths.weights(log_probs.double().clone(), self.known, 1.0)
        letters = paths.by_class(weights)
        backward = paths.backward(letters, self.active)
        self.outside = paths.outside(letters, backward, self.active)
        weights += self.outside[..., paths.classes]
        self.answer = torch.where(free[..., None], weights.log_softmax(-1).to(log_probs), log_probs)
        return self.answer


class _Together(RowRandom):
    """Draws the tokens of a row together, as one accepted row has them."""

    constrained: _Constrained
    start = 0

    @classmethod
    def of(cls, random: RowRandom, constrained: _Constrained) -> _Together:
        """The streams of other generators."""
        made = cls.__new__(cls)
        made.__dict__.update(copy(random).__dict__)
        made.constrained = constrained
        return made

    def window(self, start: int, stop: int) -> RowRandom:
        """Of some of the positions; what is drawn still fits all of them."""
        part = super().window(start, stop)
        assert isinstance(part, _Together)
        part.start += start
        return part

    def categorical(
        self,
        log_probs: Tensor,
        where: Tensor,
        temperature: float,
        mask_id: int,
        bonus: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Like `RowRandom.categorical`; where the constraint reads, as `TokenConstraint` says."""
        constrained, paths = self.constrained, self.constrained.paths
        self._check(log_probs, where)
        inside = slice(self.start, self.start + where.shape[1])
        active = constrained.active[:, inside]
        plain = super().categorical(log_probs, where & ~active, temperature, mask_id, bonus)
        asked = torch.zeros_like(constrained.active)
        asked[:, inside] = where & active
        u = torch.zeros(asked.shape, dtype=torch.float64, device=asked.device)
        u[:, inside] = self.uniform()
        answer = constrained.answer.to(torch.float64, copy=True)
        answer[:, inside] = log_probs.double()
        if bonus is not None:
            token, gain = (part[..., None] for part in bonus)
            answer[:, inside].scatter_add_(-1, token, gain.log1p())
        known = constrained.known.masked_fill(asked, -1)
        # What a sampler or a filter made of the answer, without what the language made of it.
        outside = constrained.outside[..., paths.classes]
        weights = (answer - outside).masked_fill(outside == -torch.inf, -torch.inf)
        if self._process is not None and asked.any():
            seen = answer[asked]
            kept = self._process(seen.clone(), asked.nonzero()[:, 0], temperature)
            change = torch.where(kept == -torch.inf, _REFUSED * (temperature or 1), kept - seen)
            weights[asked] += change.nan_to_num(nan=0.0)
        weights = paths.weights(weights, known, temperature)
        drawn = _walk(paths, weights, constrained.active, u, greedy=temperature == 0)
        # What is drawn next from the same prediction must fit this draw as well.
        constrained.known = torch.where(asked, drawn, constrained.known)
        return drawn[:, inside].where(where & active, plain)


def _walk(paths: Paths, weights: Tensor, active: Tensor, u: Tensor, *, greedy: bool) -> Tensor:
    """One accepted row for each row of weights, drawn from left to right: (B, L)."""
    rows, length = active.shape
    backward = paths.backward(paths.by_class(weights, best=greedy), active, best=greedy)
    state = torch.zeros(rows, dtype=torch.int64, device=active.device)
    drawn = torch.zeros_like(active, dtype=torch.int64)
    for place in range(length):
        if not active[:, place].any():
            continue
        after = paths.table[state]
        behind = backward[place + 1].gather(1, after)
        scores = weights[:, place] + behind[:, paths.classes]
        if greedy:
            token = scores.argmax(-1)
        else:
            scores -= scores.amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
            cumulative = scores.exp_().cumsum(-1)
            target = u[:, place, None] * cumulative[:, -1:]
            token = torch.searchsorted(cumulative, target, right=True)[:, 0]
            token = token.clamp(max=scores.shape[-1] - 1)  # at a position that nobody reads
        drawn[:, place] = token
        state = torch.where(
            active[:, place], after.gather(1, paths.classes[token][:, None])[:, 0], state
        )
    return drawn
