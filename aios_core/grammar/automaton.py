"""Machines that read bytes: a pattern as a deterministic automaton."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

import numpy as np
from attrs import frozen

from aios_core.errors import InferenceError
from aios_core.grammar.pattern import Alt, Cat, Chars, Pattern, Repeat, encodings

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_PARTS: Final = 100_000
"""Of a pattern, its repetitions written out."""

MOST_STATES: Final = 4096
"""Of its automaton; some short patterns have exponentially many."""


@frozen(eq=False)
class Automaton:
    """A deterministic automaton over bytes, every state of which can still reach an end."""

    table: NDArray[np.int32]
    """(S + 1, 256) the state after each byte; the last state, S, is that of no return."""
    accepting: NDArray[np.bool_]
    """(S + 1,) states in which a text may end; it starts in state 0."""

    def matches(self, data: bytes) -> bool:
        """Whether it accepts a whole text."""
        state = 0
        for byte in data:
            state = int(self.table[state, byte])
        return bool(self.accepting[state])


class _Machine:
    """A nondeterministic automaton, built by Thompson's construction (1968)."""

    def __init__(self) -> None:
        self.free: list[list[int]] = []
        self.moves: list[list[tuple[int, int, int]]] = []

    def state(self) -> int:
        if len(self.free) >= MOST_PARTS:
            raise InferenceError(
                f"the constraint has more than {MOST_PARTS} parts; expected fewer repetitions"
            )
        self.free.append([])
        self.moves.append([])
        return len(self.free) - 1

    def build(self, pattern: Pattern, start: int) -> int:
        """Add a pattern behind a state; gives the state behind it."""
        match pattern:
            case Chars(ranges):
                end = self.state()
                for sequence in encodings(ranges):
                    here = start
                    for low, high in sequence[:-1]:
                        after = self.state()
                        self.moves[here].append((low, high, after))
                        here = after
                    self.moves[here].append((*sequence[-1], end))
                return end
            case Cat(parts):
                for part in parts:
                    start = self.build(part, start)
                return start
            case Alt(parts):
                end = self.state()
                for part in parts:
                    before = self.state()
                    self.free[start].append(before)
                    self.free[self.build(part, before)].append(end)
                return end
            case Repeat(part, least, most):
                return self.repeat(part, least, most, start)

    def repeat(self, part: Pattern, least: int, most: int | None, start: int) -> int:
        for _ in range(least):
            start = self.build(part, start)
        if most is None:
            loop, end = self.state(), self.state()
            self.free[start].append(loop)
            self.free[self.build(part, loop)].append(loop)
            self.free[loop].append(end)
            return end
        end = self.state()
        for _ in range(most - least):
            before = self.state()
            self.free[start] += [before, end]
            start = self.build(part, before)
        self.free[start].append(end)
        return end

    def closure(self, states: set[int]) -> frozenset[int]:
        """All states that are reached without reading."""
        todo = list(states)
        while todo:
            for state in self.free[todo.pop()]:
                if state not in states:
                    states.add(state)
                    todo.append(state)
        return frozenset(states)


def compile_pattern(pattern: Pattern) -> Automaton:
    """The deterministic automaton of a pattern, by the construction of subsets.

    Raises:
        InferenceError: it is too large, or no text matches.
    """
    machine = _Machine()
    start = machine.state()
    end = machine.build(pattern, start)
    cuts = sorted(
        {0, 256} | {cut for moves in machine.moves for a, b, _ in moves for cut in (a, b + 1)}
    )
    place = {cut: number for number, cut in enumerate(cuts)}
    known = {machine.closure({start}): 0}
    todo = deque(known)
    rows: list[NDArray[np.int32]] = []
    while todo:
        states = todo.popleft()
        reached: dict[int, set[int]] = defaultdict(set)
        for state in states:
            for low, high, after in machine.moves[state]:
                for number in range(place[low], place[high + 1]):
                    reached[number].add(after)
        row = np.full(256, -1, dtype=np.int32)
        for number, direct in reached.items():
            after_all = machine.closure(direct)
            if after_all not in known:
                if len(known) >= MOST_STATES:
                    raise InferenceError(
                        f"the constraint needs more than {MOST_STATES} states; expected a "
                        "simpler one"
                    )
                known[after_all] = len(known)
                todo.append(after_all)
            row[cuts[number] : cuts[number + 1]] = known[after_all]
        rows.append(row)
    accepting = np.array([end in states for states in known])
    return _trimmed(np.array(rows), accepting)


def _trimmed(table: NDArray[np.int32], accepting: NDArray[np.bool_]) -> Automaton:
    """Without the states from which no end can be reached."""
    useful = accepting
    while True:
        grown = useful | ((table >= 0) & useful[table]).any(1)
        if (grown == useful).all():
            break
        useful = grown
    if not useful[0]:
        raise InferenceError("the constraint contradicts itself: no text at all satisfies it")
    count = int(useful.sum())
    number = np.full(len(table) + 1, count, dtype=np.int32)  # the last one is for -1
    number[:-1][useful] = np.arange(count)
    dead = np.full((1, 256), count, dtype=np.int32)
    return Automaton(
        np.concatenate((number[table[useful]], dead)), np.append(accepting[useful], np.False_)
    )
