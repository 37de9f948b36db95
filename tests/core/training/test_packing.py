"""Filling sequences with chunks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_core.training.packing import pack


@given(st.data(), st.integers(1, 40))
def test_every_chunk_has_places_of_its_own(data, capacity):
    lengths = np.array(data.draw(st.lists(st.integers(1, capacity), max_size=60)), np.int64)
    sequence, offset = pack(lengths, capacity)
    taken = [
        (number, place)
        for number, first, length in zip(sequence, offset, lengths, strict=True)
        for place in range(first, first + length)
    ]

    assert len(set(taken)) == lengths.sum(), "no place is taken twice"
    assert all(0 <= place < capacity for _, place in taken)
    assert set(sequence.tolist()) == set(range(len(set(sequence.tolist())))), "without a gap"


@given(st.data(), st.integers(1, 40))
def test_few_sequences_are_needed(data, capacity):
    """As first fit of falling lengths: at most one is half empty, so at most twice as many."""
    lengths = np.array(data.draw(st.lists(st.integers(1, capacity), min_size=1)), np.int64)
    filled = np.bincount(pack(lengths, capacity)[0], lengths)

    assert (2 * filled <= capacity).sum() <= 1
    assert len(filled) <= 2 * math.ceil(lengths.sum() / capacity)


@given(st.data(), st.integers(1, 20))
def test_no_chunk_would_fit_in_a_sequence_made_before(data, capacity):
    """What makes it first fit: where each chunk stands, no room was left before it."""
    lengths = np.array(data.draw(st.lists(st.integers(1, capacity), max_size=40)), np.int64)
    sequence, _ = pack(lengths, capacity)
    for chunk, number in enumerate(sequence):
        longer = lengths >= lengths[chunk]
        room = capacity - np.bincount(sequence[longer], lengths[longer], minlength=number)[:number]
        assert (room < lengths[chunk]).all()


@pytest.mark.parametrize("capacity", [128, 8192])
def test_a_million_chunks_leave_next_to_no_room(capacity):
    lengths = 1 + np.random.default_rng(0).integers(0, min(capacity, 500), 1_000_000)
    sequence, _ = pack(lengths, capacity)

    assert 0.98 < lengths.sum() / (capacity * (sequence.max() + 1)) <= 1
