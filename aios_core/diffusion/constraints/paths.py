"""Sums over all accepted rows at once: the forward-backward recursion over states and positions.

All numbers are logarithms, for the weights of two ways through one automaton may differ by more
than a float64 can say, and what is possible must not become impossible by rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.diffusion.constraints.tokens import TokenAutomaton

LEAST: Final = -276.0
"""Least weight of a token, 1e-120 of the largest: what the network calls impossible is written
where the language leaves nothing else."""


class Paths:
    """An automaton over tokens as tensors.

    Args:
        automaton: S states and one of no return; C classes of tokens.
        device: where the predictions are.

    Attributes:
        classes: (V,) class of each token.
        live: (V,) bool, tokens that may ever be accepted.
        table: (S + 1, C) next states.
        accepting: (S + 1,) float64, 0 or minus infinity.
    """

    def __init__(self, automaton: TokenAutomaton, device: torch.device) -> None:
        self.classes = torch.from_numpy(automaton.classes).to(device)
        self.live = self.classes > 0
        self.table = torch.from_numpy(automaton.table).to(device)
        self.accepting = torch.from_numpy(automaton.accepting).to(device).double().log()
        self.count = automaton.table.shape[1]
        source, letter = (self.table < len(self.table) - 1).nonzero().T
        self._source, self._letter, self._target = source, letter, self.table[source, letter]

    def weights(self, log_probs: Tensor, known: Tensor, temperature: float) -> Tensor:
        """Weights of tokens at each position, relative to the largest: (B, L, V) logarithms.

        Args:
            log_probs: (B, L, V) float64, overwritten; minus infinity is as unlikely as can be.
            known: (B, L) tokens that stand already, -1 where none does.
            temperature: divides them; 0 leaves them as they are.
        """
        log_probs.masked_fill_(~self.live, -torch.inf)
        largest = log_probs.amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float64).min)
        log_probs -= largest
        if temperature > 0:
            log_probs /= temperature
        log_probs.clamp_(min=LEAST).masked_fill_(~self.live, -torch.inf)
        there = known >= 0
        log_probs[there] = -torch.inf
        row, column = there.nonzero(as_tuple=True)
        log_probs[row, column, known[there]] = 0.0
        return log_probs

    def by_class(self, weights: Tensor, *, best: bool = False) -> Tensor:
        """(B, L, C) sum, or the largest, of the weights (B, L, V) of each class."""
        sums = _reduced(weights.flatten(0, 1), self.classes, self.count, best=best)
        return sums.view(*weights.shape[:2], self.count)

    def backward(self, letters: Tensor, active: Tensor, *, best: bool = False) -> Tensor:
        """Weight of all ways from each state to an end, or of the best one.

        Args:
            letters: (B, L, C) from `by_class`.
            active: (B, L) bool, positions that the automaton reads; it passes over the others.
            best: which of the two.

        Returns:
            (L + 1, B, S + 1).
        """
        rows, length, _ = letters.shape
        backward = letters.new_empty((length + 1, rows, len(self.table)))
        backward[length] = self.accepting
        for place in reversed(range(length)):
            after = backward[place + 1]
            terms = letters[:, place, self._letter] + after[:, self._target]
            ways = _reduced(terms, self._source, len(self.table), best=best)
            backward[place] = torch.where(active[:, place, None], ways, after)
        return backward

    def outside(self, letters: Tensor, backward: Tensor, active: Tensor) -> Tensor:
        """(B, L, C): weight of all that surrounds a token of each class."""
        rows, length, _ = letters.shape
        path = torch.zeros_like(letters)
        ways = letters.new_full((rows, len(self.table)), -torch.inf)
        ways[:, 0] = 0.0
        for place in range(length):
            before = ways[:, self._source]
            terms = before + backward[place + 1][:, self._target]
            path[:, place] = _reduced(terms, self._letter, self.count)
            terms = before + letters[:, place, self._letter]
            onward = _reduced(terms, self._target, len(self.table))
            ways = torch.where(active[:, place, None], onward, ways)
        return path


def _reduced(terms: Tensor, index: Tensor, count: int, *, best: bool = False) -> Tensor:
    """(N, count) logarithm of the sum of, or the largest of, the terms (N, E) of each index."""
    largest = terms.new_full((len(terms), count), -torch.inf)
    largest.scatter_reduce_(1, index.expand_as(terms), terms, "amax")
    if best:
        return largest
    base = largest.masked_fill(largest == -torch.inf, 0.0)
    sums = torch.zeros_like(base).index_add_(1, index, (terms - base[:, index]).exp_())
    return base + sums.log_()
