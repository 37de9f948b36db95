"""Automata that read tokens instead of bytes.

A state is one of the automaton over bytes, the context in which the next token is spelled, and
whether the text may end here: where a tokenizer spells the last token otherwise, that does not
follow from the state.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from attrs import frozen

from aios_core.contracts.automaton import MOST_STATES
from aios_core.errors import InferenceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.contracts import Automaton, Spelling

_CELLS: Final = 1 << 22
"""Pairs of a state and a token looked at together."""

_DEAD: Final = -1


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
        reachable = np.zeros((length + 1, len(self.table)), dtype=np.bool_)
        reachable[0] = self.accepting
        for n in range(length):
            reachable[n + 1] = reachable[n][self.table].any(1)
        return reachable


def lift(
    automaton: Automaton,
    spelling: Spelling,
    *,
    eos_id: int | None,
    forbidden: Collection[int] = (),
) -> TokenAutomaton:
    """Read tokens with an automaton over bytes.

    Args:
        automaton: of the text.
        spelling: what V tokens add to it.
        eos_id: may stand where the text may end, and nothing but it after that: texts may then
            be shorter than their row. None: they are as long.
        forbidden: tokens that are never accepted.

    Raises:
        InferenceError: it needs too many states.
    """
    reader = _Reader(automaton, spelling, {*forbidden, *(() if eos_id is None else (eos_id,))})
    keys = np.zeros(len(reader.live), dtype=np.uint64)
    salt = np.random.default_rng(0)
    known, codes = {reader.start: 0}, [reader.start]
    everything = np.arange(len(reader.live))
    done = 0
    while done < len(codes):  # codes grow on the way
        batch = np.array(codes[done : done + reader.rows], dtype=np.int64)
        done += len(batch)
        after = reader.read(batch, everything)
        for row, factor in zip(after, salt.integers(1, 2**63, len(after), np.uint64), strict=True):
            keys += row.astype(np.uint64) * factor
        for code in np.unique(after).tolist():
            if code != _DEAD and code not in known:
                known[code] = len(codes)
                codes.append(code)
        if len(codes) > 4 * MOST_STATES:
            raise InferenceError(
                f"the constraint needs more than {4 * MOST_STATES} states over the tokens; "
                "expected a simpler one"
            )
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    states = len(codes)
    ended, dead = states, states + 1
    order = np.argsort(codes)
    table = np.full((states + 2, len(first) + 2), dead)  # class 0, the live ones, the end
    for start in range(0, states, reader.rows):
        after = reader.read(np.array(codes[start : start + reader.rows], dtype=np.int64), first)
        places = order[np.searchsorted(codes, after, sorter=order).clip(max=states - 1)]
        table[start : start + len(after), 1:-1] = np.where(after == _DEAD, dead, places)
    classes = np.zeros(reader.size, dtype=np.int64)
    some = (table[:states, 1:-1] != dead).any(0)  # what no state accepts is of class 0
    classes[reader.live] = np.where(some, np.arange(1, len(some) + 1), 0)[group.reshape(-1)]
    accepting = np.append(np.array(codes) % 2 == 1, [False, False])
    if eos_id is None or eos_id in forbidden:
        return TokenAutomaton(classes, table[:, :-1], accepting)
    table[accepting, -1] = ended
    table[ended, -1] = ended
    accepting[ended] = True
    classes[eos_id] = len(first) + 1
    return TokenAutomaton(classes, table, accepting)


class _Reader:
    """Reads tokens from states that are one number each, odd where the text may end."""

    def __init__(self, automaton: Automaton, spelling: Spelling, never: Collection[int]) -> None:
        self.automaton, contexts = automaton, spelling.contexts
        self.size = len(contexts[0].texts)
        self.live = [
            i
            for i in range(self.size)
            if i not in never and any(context.texts[i] is not None for context in contexts)
        ]
        self.rows = max(_CELLS // max(len(self.live), 1), 1)
        self.contexts = [
            (
                _Bytes(context.texts, self.live),
                None if context.last is None else _Bytes(context.last, self.live),
                np.asarray(context.after)[self.live].astype(np.int64),
            )
            for context in contexts
        ]
        self.start = self._codes(np.zeros(1, np.int64), np.zeros(1, np.int64), None).item()

    def _codes(
        self,
        contexts: NDArray[np.int64],
        states: NDArray[np.int64],
        ends: NDArray[np.bool_] | None,
    ) -> NDArray[np.int64]:
        """One number for each context, state, and whether the text may end there."""
        may_end = self.automaton.accepting[states] if ends is None else ends
        codes: NDArray[np.int64] = (contexts * len(self.automaton.table) + states) * 2 + may_end
        codes[(states == len(self.automaton.table) - 1) & ~may_end] = _DEAD
        return codes

    def read(self, codes: NDArray[np.int64], columns: NDArray[np.intp]) -> NDArray[np.int64]:
        """(states, columns) the state after each of some of the live tokens."""
        after_token = np.empty((len(codes), len(columns)), dtype=np.int64)
        places, states = np.divmod(codes // 2, len(self.automaton.table))
        for place in np.unique(places):
            texts, last, after = self.contexts[place]
            rows = places == place
            reached = texts.read(self.automaton, states[rows], columns)
            ends = None
            if last is not None:
                ends = self.automaton.accepting[last.read(self.automaton, states[rows], columns)]
            after_token[rows] = self._codes(after[columns], reached, ends)
        return after_token


class _Bytes:
    """Byte strings of tokens as an array."""

    def __init__(self, texts: Sequence[bytes | None], live: Sequence[int]) -> None:
        spelled = [texts[i] for i in live]
        self.never = np.array([text is None for text in spelled], dtype=np.bool_)
        self.lengths = np.array([len(text or b"") for text in spelled], dtype=np.int64)
        self.spelled = np.zeros((len(live), int(self.lengths.max(initial=0))), dtype=np.uint8)
        inside = np.arange(self.spelled.shape[1]) < self.lengths[:, None]
        self.spelled[inside] = np.frombuffer(
            b"".join(text or b"" for text in spelled), dtype=np.uint8
        )

    def read(
        self, automaton: Automaton, states: NDArray[np.int64], columns: NDArray[np.intp]
    ) -> NDArray[np.int64]:
        """(states, columns) the state of the automaton after each token."""
        lengths, spelled = self.lengths[columns], self.spelled[columns]
        after = np.repeat(states[:, None], len(columns), axis=1)
        for place in range(spelled.shape[1]):
            some = lengths > place
            after[:, some] = automaton.table[after[:, some], spelled[some, place]]
        after[:, self.never[columns]] = len(automaton.table) - 1
        return after
