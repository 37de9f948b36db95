"""Automata that read tokens instead of bytes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.diffusion.constraints.automaton import Automaton

_ROWS = 256
"""States looked at together."""


@frozen(eq=False)
class TokenAutomaton:
    """An automaton over tokens, which are grouped by what they do to every state."""

    classes: NDArray[np.int64]
    """(V,) the class of each token; those of class 0 are never accepted."""
    table: NDArray[np.int64]
    """(S + 1, C) the state after a token of each class; the last state is that of no return."""
    accepting: NDArray[np.bool_]
    """(S + 1,) states in which a row may end; it starts in state 0."""

    def accepts(self, ids: Sequence[int]) -> bool:
        """Whether it accepts a whole row."""
        state = 0
        for token in ids:
            state = int(self.table[state, self.classes[token]])
        return bool(self.accepting[state])

    def reachable(self, length: int) -> NDArray[np.bool_]:
        """(length + 1, S + 1) whether an end can be reached from a state in exactly n tokens."""
        found = np.zeros((length + 1, len(self.table)), dtype=np.bool_)
        found[0] = self.accepting
        for n in range(length):
            found[n + 1] = found[n][self.table].any(1)
        return found


def lift(
    automaton: Automaton,
    tokens: Sequence[bytes],
    *,
    eos_id: int | None,
    forbidden: Collection[int] = (),
) -> TokenAutomaton:
    """Read tokens with an automaton over bytes.

    Args:
        automaton: of the text.
        tokens: V byte strings; an empty one is never accepted.
        eos_id: may stand where the text may end, and nothing but it after that: texts may then
            be shorter than their row. None: they are as long.
        forbidden: tokens that are never accepted.
    """
    usable = np.array([bool(one) and i not in forbidden for i, one in enumerate(tokens)])
    if eos_id is not None:
        usable[eos_id] = False
    live = [int(one) for one in usable.nonzero()[0]]
    lengths = np.array([len(tokens[i]) for i in live], dtype=np.int64)
    width = int(lengths.max(initial=0))
    spelled = np.zeros((len(live), width), dtype=np.uint8)
    for row, i in enumerate(live):
        spelled[row, : lengths[row]] = np.frombuffer(tokens[i], dtype=np.uint8)
    states = len(automaton.table)  # the last one is that of no return
    keys = np.zeros(len(live), dtype=np.uint64)
    salt = np.random.default_rng(0).integers(1, 2**63, states, dtype=np.uint64)
    for start in range(0, states, _ROWS):  # never all (S, V) at once
        after = _read(automaton, slice(start, start + _ROWS), spelled, lengths)
        keys += (after.astype(np.uint64) * salt[start : start + _ROWS, None]).sum(0)
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    ended, dead = states - 1, states
    columns = [np.full(states + 1, dead)]
    body = np.full((states + 1, len(first)), dead)
    for start in range(0, states, _ROWS):
        rows = slice(start, min(start + _ROWS, states))
        body[rows] = _read(automaton, rows, spelled[first], lengths[first])
    body[body == states - 1] = dead  # the state of no return moves up by one
    body[ended:] = dead
    classes = np.zeros(len(tokens), dtype=np.int64)
    classes[live] = group.reshape(-1) + 1
    accepting = np.append(automaton.accepting, np.False_)
    if eos_id is not None and eos_id not in forbidden:
        column = np.full(states + 1, dead)
        column[accepting] = ended
        column[ended] = ended
        accepting[ended] = True
        classes[eos_id] = len(first) + 1
        columns.append(column)
    table = np.column_stack((columns[0], body, *columns[1:])).astype(np.int64)
    return TokenAutomaton(classes, table, accepting)


def _read(
    automaton: Automaton, rows: slice, spelled: NDArray[np.uint8], lengths: NDArray[np.int64]
) -> NDArray[np.int32]:
    """(rows, tokens) the state after each token."""
    start = np.arange(len(automaton.table), dtype=np.int32)[rows]
    after = np.repeat(start[:, None], len(spelled), axis=1)
    for place in range(spelled.shape[1]):
        some = lengths > place
        after[:, some] = automaton.table[after[:, some], spelled[some, place]]
    return after
