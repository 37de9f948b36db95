"""Machines that read bytes: a pattern as a deterministic automaton."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from aios_core.contracts import Automaton
from aios_core.errors import InferenceError
from aios_plugins._grammar.pattern import Alt, Cat, Chars, Pattern, Repeat, encodings

MOST_PARTS: Final = 100_000
"""Of a pattern, its repetitions written out."""


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

    def moves(states: frozenset[int]) -> Iterator[tuple[int, int, frozenset[int]]]:
        reached: dict[int, set[int]] = defaultdict(set)
        for state in states:
            for low, high, after in machine.moves[state]:
                for number in range(place[low], place[high + 1]):
                    reached[number].add(after)
        for number, direct in reached.items():
            yield cuts[number], cuts[number + 1] - 1, machine.closure(direct)

    return Automaton.explored(machine.closure({start}), moves, lambda states: end in states)
