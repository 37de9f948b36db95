"""Automata over bytes: which texts there are, in a form that tokens can be held against."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Self, TypeVar

from attrs import frozen

from aios_core.errors import InferenceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

State = TypeVar("State", bound=Hashable)

_Pair = tuple[int, int]
"""A state of an automaton, and one of UTF-8."""

MOST_STATES: Final = 4096
"""Of an automaton; some short patterns have exponentially many."""

_DEAD: Final = -1

_UTF8: Final[Sequence[Sequence[tuple[int, int, int]]]] = (
    (
        *((0x00, 0x7F, 0), (0xC2, 0xDF, 1), (0xE0, 0xE0, 4), (0xE1, 0xEC, 2), (0xED, 0xED, 5)),
        *((0xEE, 0xEF, 2), (0xF0, 0xF0, 6), (0xF1, 0xF3, 3), (0xF4, 0xF4, 7)),
    ),
    ((0x80, 0xBF, 0),),
    ((0x80, 0xBF, 1),),
    ((0x80, 0xBF, 2),),
    ((0xA0, 0xBF, 1),),
    ((0x80, 0x9F, 1),),
    ((0x90, 0xBF, 2),),
    ((0x80, 0x8F, 2),),
)
"""UTF-8 as an automaton: ranges of bytes and the states behind them; a text ends in state 0."""


@frozen(eq=False)
class Automaton:
    """A deterministic automaton over bytes, every state of which can still reach an end.

    `explored` makes one of any states; the arrays may also be given as they are.
    """

    table: NDArray[np.int32]
    """(S + 1, 256) the state after each byte; the last state, S, is that of no return."""
    accepting: NDArray[np.bool_]
    """(S + 1,) states in which a text may end; it starts in state 0."""

    def __attrs_post_init__(self) -> None:
        """Refuse arrays that are no automaton."""
        import numpy as np

        dead = len(self.table) - 1
        if self.table.shape != (dead + 1, 256) or dead < 1 or self.table.dtype != np.int32:
            raise ValueError(
                f"table: expected int32 of shape (S + 1, 256), got {self.table.dtype} of shape "
                f"{self.table.shape}"
            )
        if self.accepting.shape != (dead + 1,) or self.accepting.dtype != np.bool_:
            raise ValueError(
                f"accepting: expected bool of shape ({dead + 1},), got {self.accepting.dtype} of "
                f"shape {self.accepting.shape}"
            )
        if self.table.min() < 0 or self.table.max() > dead:
            raise ValueError(f"table: expected states from 0 to {dead}")
        if self.accepting[dead] or (self.table[dead] != dead).any():
            raise ValueError(f"expected no end, and no way out, at state {dead}, the last one")
        if not _useful(self.table, self.accepting)[:dead].all():
            raise ValueError("expected an end in reach of every state but the last")

    @classmethod
    def explored(
        cls,
        start: State,
        moves: Callable[[State], Iterable[tuple[int, int, State]]],
        ends: Callable[[State], bool],
    ) -> Self:
        """All states that can be reached, and can reach an end.

        Args:
            start: before the first byte; states are whatever can be a key, as numbers or tuples.
            moves: from a state to ``(low, high, after)``: the bytes of UTF-8 from `low` to `high`,
                both included, lead to the state `after`; others lead nowhere.
            ends: whether a text may end in a state.

        Raises:
            InferenceError: there are more than `MOST_STATES`, or no text reaches an end.
            ValueError: ranges of a state share a byte, or are none of bytes.
        """
        import numpy as np

        known, rows, todo = {start: 0}, [], deque([start])
        while todo:
            state, width = todo.popleft(), 0
            row = np.full(256, _DEAD, dtype=np.int32)
            for low, high, after in moves(state):
                if after not in known:
                    if len(known) >= MOST_STATES:
                        raise InferenceError(
                            f"the constraint needs more than {MOST_STATES} states; expected a "
                            "simpler one"
                        )
                    known[after] = len(known)
                    todo.append(after)
                if not 0 <= low <= high <= 255:
                    raise ValueError(f"expected a range within 0 to 255, got {low} to {high}")
                row[low : high + 1] = known[after]
                width += high + 1 - low
            if np.count_nonzero(row != _DEAD) != width:
                raise ValueError(f"two ranges of bytes that leave state {state!r:.80} overlap")
            rows.append(row)
        accepting = np.array([bool(ends(state)) for state in known])
        table = np.array(rows)
        useful = _useful(table, accepting)
        if not useful[0]:
            raise InferenceError("the constraint contradicts itself: no text at all satisfies it")
        count = int(useful.sum())
        number = np.full(len(table) + 1, count, dtype=np.int32)  # the last one is for _DEAD
        number[:-1][useful] = np.arange(count)
        dead = np.full((1, 256), count, dtype=np.int32)
        return cls(
            np.concatenate((number[table[useful]], dead)), np.append(accepting[useful], np.False_)
        )

    def matches(self, data: bytes) -> bool:
        """Whether it accepts a whole text."""
        state = 0
        for byte in data:
            state = int(self.table[state, byte])
        return bool(self.accepting[state])

    def undecodable(self) -> bytes | None:
        """How a text begins that it accepts and that is not UTF-8; None where there is none."""
        import numpy as np

        dead, utf8 = len(self.table) - 1, np.full((len(_UTF8), 256), _DEAD)
        for number, ranges in enumerate(_UTF8):
            for low, high, after in ranges:
                utf8[number, low : high + 1] = after
        todo = deque([(0, 0)])
        before: dict[_Pair, tuple[_Pair, int] | None] = {(0, 0): None}
        while todo:
            pair = todo.popleft()
            state, character = pair
            if self.accepting[state] and character:
                return _read(before, pair)
            bytes_on = np.flatnonzero(self.table[state] != dead)
            if (broken := bytes_on[utf8[character, bytes_on] == _DEAD]).size:
                return _read(before, pair) + bytes([int(broken[0])])
            reached = self.table[state, bytes_on], utf8[character, bytes_on], bytes_on
            for state_on, character_on, byte in zip(
                *(part.tolist() for part in reached), strict=True
            ):
                if (state_on, character_on) not in before:
                    before[state_on, character_on] = pair, byte
                    todo.append((state_on, character_on))
        return None


def _useful(table: NDArray[np.int32], accepting: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """States from which an end can be reached."""
    import numpy as np

    leaving, byte = np.nonzero(table != _DEAD)
    moves = np.unique(leaving * len(table) + table[leaving, byte])
    source, target = np.divmod(moves, len(table))
    useful = accepting.copy()
    while (more := source[useful[target] & ~useful[source]]).size:
        useful[more] = True
    return useful


def _read(before: Mapping[_Pair, tuple[_Pair, int] | None], pair: _Pair) -> bytes:
    """The bytes that lead to a pair, by the pair and the byte before each."""
    data = bytearray()
    while (step := before[pair]) is not None:
        pair, byte = step
        data.append(byte)
    return bytes(reversed(data))
