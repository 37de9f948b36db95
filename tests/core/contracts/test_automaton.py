"""Automata over bytes, as authors of constraints make them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_core.contracts import Automaton
from aios_core.contracts.automaton import MOST_STATES
from aios_core.errors import InferenceError


def of(transitions, ends, start=0):
    """The automaton of ``{state: [(low, high, after), ...]}``."""
    return Automaton.explored(start, lambda state: transitions.get(state, ()), ends.__contains__)


def test_states_are_whatever_can_be_a_key():
    """Those from which no text can be finished are left out."""
    states = {("a", 1): [(97, 97, None), (98, 99, "stuck")], None: [(100, 100, ("a", 1))]}
    automaton = of(states, {None}, ("a", 1))

    assert (3, 256) == automaton.table.shape
    accepted = {
        word
        for length in range(4)
        for word in itertools.product(b"abcd", repeat=length)
        if automaton.matches(bytes(word))
    }
    assert {(97,), (97, 100, 97)} == accepted


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([(97, 99, 1), (99, 100, 2)], "two ranges of bytes that leave state 0 overlap"),
        ([(97, 97, 1), (97, 97, 1)], "overlap"),
        ([(250, 256, 1)], "expected a range within 0 to 255, got 250 to 256"),
        ([(-1, 5, 1)], "got -1 to 5"),
        ([(9, 5, 1)], "got 9 to 5"),
    ],
)
def test_ranges_that_are_none_are_refused(moves, expected):
    with pytest.raises(ValueError, match=expected):
        of({0: moves}, {0, 1, 2})


def test_what_is_too_large_or_empty_is_refused():
    def count(state):
        return [(97, 97, state + 1)]

    with pytest.raises(InferenceError, match=f"more than {MOST_STATES} states"):
        Automaton.explored(0, count, lambda _: False)
    largest = Automaton.explored(
        0, lambda state: count(state) if state + 1 < MOST_STATES else (), lambda _: True
    )
    assert (MOST_STATES + 1, 256) == largest.table.shape
    with pytest.raises(InferenceError, match="no text at all satisfies it"):
        of({0: [(97, 97, 1)]}, set())


def table(*rows):
    """Rows of states after the byte ``a``; all other bytes lead nowhere."""
    made = np.full((len(rows), 256), len(rows) - 1, dtype=np.int32)
    made[:, 97] = rows
    return made


@pytest.mark.parametrize(
    ("rows", "accepting", "expected"),
    [
        (table(1, 1).astype(np.int64), [True, False], "int32 of shape"),
        (table(1, 1)[:, :9], [True, False], "int32 of shape"),
        (table(0), [False], "int32 of shape"),
        (table(1, 1), [True], r"bool of shape \(2,\)"),
        (table(1, 1), [1.0, 0.0], "bool of shape"),
        (table(2, 1), [True, False], "states from 0 to 1"),
        (table(-1, 1), [True, False], "states from 0 to 1"),
        (table(1, 0), [True, False], "no way out, at state 1"),
        (table(1, 1), [True, True], "expected no end"),
        (table(1, 2, 2), [True, False, False], "an end in reach of every state"),
    ],
)
def test_arrays_that_are_no_automaton_are_refused(rows, accepting, expected):
    with pytest.raises(ValueError, match=expected):
        Automaton(rows, np.array(accepting))


def test_arrays_may_be_given_as_they_are():
    assert Automaton(table(0, 1), np.array([True, False])).matches(b"aaa")


def test_all_of_utf8_can_be_decoded():
    """As one automaton has it that knows nothing of characters but what Python encodes."""
    characters = "aé中😀\x00\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"
    prefixes = {
        char.encode()[:n] for char in characters for n in range(len(char.encode()) + 1)
    }  # fmt: skip

    def moves(read):
        for byte in range(256):
            after = read + bytes([byte])
            if after in prefixes:
                yield byte, byte, b"" if after.decode(errors="ignore") else after

    assert Automaton.explored(b"", moves, lambda read: not read).undecodable() is None


@given(st.binary(min_size=1, max_size=4))
def test_bytes_that_are_not_utf8_are_noticed(data):
    """Exactly where Python notices them."""
    automaton = of({i: [(byte, byte, i + 1)] for i, byte in enumerate(data)}, {len(data)})
    start = automaton.undecodable()
    try:
        data.decode()
    except UnicodeDecodeError:
        assert start is not None
        assert data.startswith(start)
        assert len(start) == len(data) or not automaton.matches(start)
    else:
        assert start is None


def test_a_shared_state_is_looked_at_in_both_characters():
    """What follows E1 and E0 is the same state here, and 80 may follow only the first."""
    states = {0: [(0xE0, 0xE1, 1)], 1: [(0x80, 0xBF, 2)], 2: [(0x80, 0xBF, 0)]}

    assert b"\xe0\x80" == of(states, {0}).undecodable()
