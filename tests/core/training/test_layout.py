"""Packing loses nothing, repeats nothing, and changes nothing."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_core.contracts import Noisy, Row, Segment, Sequences, Vocabulary
from aios_core.contracts.rows import ROLES, Role
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import _states, nll
from aios_core.testing.modules import stir
from aios_core.training import layout, token_rows
from aios_core.training.layout import Chunks, Framing
from aios_core.training.token_rows import TokenRows
from aios_plugins.backbones.transformer import Transformer
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.heads.text import Text
from aios_plugins.noise.loglinear import LogLinear

LETTERS = 10_000
VOCABULARY = Vocabulary(
    size=LETTERS + 4, mask_id=LETTERS, pad_id=LETTERS + 1, bos_id=LETTERS + 2, eos_id=LETTERS + 3
)


class Numbering:
    """A tokenizer that gives every token that it makes a number of its own."""

    vocabulary = VOCABULARY

    def __init__(self) -> None:
        self.made = 0

    def encode(self, text: str) -> np.ndarray:
        self.made += len(text)
        return np.arange(self.made - len(text), self.made, dtype=np.int32)

    encode_content = encode


def written(rows: list[Row]) -> TokenRows:
    """Rows whose tokens are all different."""
    with TemporaryDirectory() as folder:
        token_rows.write(Path(folder), rows, Numbering())
        return token_rows.read(Path(folder), VOCABULARY, mapped=False)


def learned_of(rows: list[Row]) -> list[bool]:
    """Of each of their tokens."""
    segments = [s for row in rows for s in row.segments if s.role != "absent"]
    return [segment.role == "target" for segment in segments for _ in segment.content]


texts = st.lists(st.integers(0, 60), min_size=1, max_size=12).map(
    lambda sizes: [Row.of("x" * size) for size in sizes]
)
"""Some of them empty, or longer than a sequence."""


def _answer(parts: list[tuple[Role, int]]) -> Row:
    before = (Segment(f"s{i}", "x" * size, role) for i, (role, size) in enumerate(parts))
    return Row((*before, Segment("answer", "x")))


_parts = st.tuples(st.sampled_from(ROLES), st.integers(0, 3))
_several = st.lists(_parts, max_size=3).map(_answer)
_long = st.integers(1, 60).map(lambda size: Row((Segment("answer", "x" * size),)))
answers = st.lists(_several | _long, min_size=1, max_size=12)
"""Of several segments at most 12 tokens, with their begin and end: such rows are not cut."""

framings = st.builds(
    lambda units, unit, packed, fill: Framing(units * unit, packed=packed, fill=fill, unit=unit),
    st.integers(3, 6),
    st.sampled_from([4, 5]),
    st.booleans(),
    st.booleans(),
) | st.builds(Framing, st.integers(12, 24), packed=st.booleans(), fill=st.booleans())
"""From 12 positions on."""


@pytest.fixture(autouse=True)
def _small_layouts(monkeypatch):
    monkeypatch.setattr(layout, "_AT_LEAST", 5)


def counted(flags: torch.Tensor, ids: torch.Tensor, rows: list[Row]) -> list[int]:
    """How often each token of rows, in their order, is among those that are flagged."""
    result = np.bincount(ids[flags].numpy(), minlength=VOCABULARY.size)
    return result[: len(learned_of(rows))].tolist()


def check(rows: list[Row], chunks: Chunks, framing: Framing, passes: int) -> None:
    """Every token of every row is in so many sequences, and learned there if it is a target."""
    made = layout.sequences(written(rows), chunks, framing)
    learned = learned_of(rows)

    assert made.ids.shape == (chunks.count, framing.length)
    assert [passes] * len(learned) == counted(made.valid, made.ids, rows)
    assert [passes * target for target in learned] == counted(made.targets, made.ids, rows)
    begins, ends = made.ids == VOCABULARY.bos_id, made.ids == VOCABULARY.eos_id
    assert passes * len(rows) == begins.sum(), "each row begins as often"
    assert not (begins & made.targets).any()
    assert not (ends & ~made.targets).any()
    assert passes * (sum(learned) + len(rows)) == made.sizes.sum(), "with one end token each"
    assert (made.ids[~made.valid] == VOCABULARY.pad_id).all()
    assert not (made.ids[made.valid] == VOCABULARY.pad_id).any()
    assert not (made.targets & ~made.valid).any()
    if not framing.fill:
        assert passes * len(rows) == ends.sum()


@settings(max_examples=50)
@given(texts | answers, framings)
def test_what_is_measured_has_every_token_once(rows, framing):
    chunks = layout.in_order(written(rows), framing)
    made = layout.sequences(written(rows), chunks, framing)
    order = made.ids[made.ids < LETTERS].tolist()

    check(rows, chunks, framing, 1)
    assert list(range(len(learned_of(rows)))) == order
    assert made.rows is None, "each in a sequence of its own"
    if framing.fill:  # a text may end anywhere, and what is behind must be found out
        assert made.valid[made.ids.eq(VOCABULARY.eos_id).any(-1)].all()


@settings(max_examples=50)
@given(texts | answers, framings, st.integers(0, 3), st.integers(0, 3))
def test_a_pass_learns_from_every_target_equally_often(rows, framing, seed, number):
    held = written(rows)
    chunks = layout.drawn(held, framing, seed, number)
    passes = int((chunks.start == 0).sum()) // len(rows)

    assert passes >= 1
    check(rows, chunks, framing, passes)


@settings(max_examples=50)
@given(texts | answers, framings, st.integers(0, 3))
def test_rows_share_sequences_without_seeing_each_other(rows, framing, seed):
    """And every one begins at a block, with positions counted from its begin."""
    chunks = layout.drawn(written(rows), framing, seed, 0)
    made = layout.sequences(written(rows), chunks, framing)
    assert (chunks.offset % framing.unit == 0).all()
    assert (np.diff(chunks.sequence) >= 0).all()
    if made.rows is None:
        assert len(chunks.row) == chunks.count
        return
    assert framing.packed
    condition = made.condition()
    seen, places = condition.mask, condition.positions[..., 0]
    for s, sequence in enumerate(made.ids):
        inside = np.flatnonzero(chunks.sequence == s)
        for chunk in inside:
            first = chunks.offset[chunk]
            size = chunks.stop[chunk] - chunks.start[chunk] + chunks.fill[chunk]
            own = torch.zeros(framing.length, dtype=torch.bool)
            own[first : first + size] = True
            assert (seen[s, own] == own).all()
            assert list(range(size)) == places[s, own].tolist()
            assert (sequence[first] == VOCABULARY.bos_id) == (chunks.start[chunk] == 0)
            assert made.valid[s, own].all()


@pytest.mark.parametrize(("length", "size"), [(2, 12), (3, 20), (5, 16), (6, 39), (12, 12)])
def test_a_long_row_is_cut_so_that_each_place_is_as_likely(monkeypatch, length, size):
    """As in windows of a stream: where a token stands in its sequence is uniform."""
    monkeypatch.setattr(layout, "_AT_LEAST", 5000)
    rows = TokenRows.of([np.arange(size, dtype=np.int32)], VOCABULARY)
    framing = Framing(length, packed=False, fill=False)
    chunks = layout.drawn(rows, framing, 0, 0)
    passes = int((chunks.start == 0).sum())
    assert passes > 500
    for place in {length, (length + size) // 2, size} - {0}:
        result = place - chunks.start[(chunks.start <= place) & (chunks.stop > place)]
        times = np.bincount(result, minlength=length)
        expected, deviation = passes / length, np.sqrt(passes / length * (1 - 1 / length))

        assert (length, passes) == (len(times), times.sum())
        assert (abs(times - expected) <= 4.5 * deviation).all()


def test_layouts_of_other_seeds_and_numbers_are_others():
    rows = TokenRows.of([np.arange(size, dtype=np.int32) for size in range(40)], VOCABULARY)
    made = {
        layout.drawn(rows, Framing(16), seed, number).row.tobytes()
        for seed in range(3)
        for number in range(3)
    }
    assert 9 == len(made)


def test_layouts_are_the_same_on_every_machine():
    rows = TokenRows.of([np.arange(size, dtype=np.int32) for size in (3, 9, 20, 5)], VOCABULARY)
    chunks = layout.drawn(rows, Framing(16), 1, 2)

    assert RECORDED == {name: getattr(chunks, name)[:8].tolist() for name in RECORDED}


RECORDED = {
    "row": [2, 3, 1, 2, 0, 3, 1, 2],
    "start": [0, 0, 0, 21, 0, 0, 0, 5],
    "stop": [12, 7, 11, 22, 5, 7, 11, 21],
    "fill": [0, 0, 3, 13, 4, 0, 1, 0],
    "sequence": [0, 1, 2, 3, 4, 4, 5, 6],
    "offset": [0, 0, 0, 0, 0, 9, 0, 0],
}

SMALL = Vocabulary(size=9, mask_id=5, pad_id=6, bos_id=7, eos_id=8)
LENGTH = 24


def network(mode: str = "diffusion", block_size: int | None = None) -> Model:
    """One that answers differently whatever it sees and wherever."""
    torch.manual_seed(0)
    parts = Text(), Transformer(dim=16, layers=2, heads=2), LogLinear(), Absorbing(), SMALL
    return stir(Model(*parts, mode=mode, length=LENGTH, block_size=block_size)).eval()


def alone(together: Sequences) -> list[tuple[int, int, Sequences]]:
    """Of sequences each row in one of its own, with the sequence and the place that it is from."""
    results = []
    for s, numbers in enumerate(together.rows):
        for number in numbers[together.valid[s]].unique().tolist():
            own = numbers == number
            first, size = int(own.int().argmax()), int(own.sum())
            inside = torch.arange(LENGTH) < size
            part = (torch.arange(LENGTH) + first).where(inside, first)
            ids = together.ids[s, part].where(inside, SMALL.pad_id)
            targets = together.targets[s, part] & inside
            results.append((s, first, Sequences(ids[None], inside[None], targets[None])))
    return results


def short_rows(sizes: list[int], seed: int) -> TokenRows:
    draws = np.random.default_rng(seed)
    return TokenRows.of([draws.integers(0, 5, size).astype(np.int32) for size in sizes], SMALL)


short = {
    "sizes": st.lists(st.integers(0, 6), min_size=2, max_size=12),
    "seed": st.integers(0, 99),
}


@torch.no_grad()
@settings(max_examples=25)
@given(**short)
@pytest.mark.parametrize("block_size", [None, 4], ids=["whole", "blocks"])
def test_a_packed_row_has_the_log_probabilities_that_it_has_alone(block_size, sizes, seed):
    """To 1e-6 in float32: of a part noised, at the times of its places."""
    model, framing = network(block_size=block_size), Framing(LENGTH, unit=block_size or 1)
    rows, draws = short_rows(sizes, seed), np.random.default_rng(seed)
    together = layout.sequences(rows, layout.drawn(rows, framing, seed, 0), framing)[:6]
    assert together.rows is not None
    hidden = torch.from_numpy(draws.random(together.ids.shape) < 0.5) & together.targets
    z = together.ids.where(~hidden, SMALL.mask_id)
    blocks = LENGTH // model.block_size
    times = torch.from_numpy(draws.random((len(z), blocks)))

    def log_probs(sequences: Sequences, z: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        noisy = Noisy(sequences.ids, z, times, sequences.targets)
        return model.log_probs(_states(model, noisy, sequences))

    packed = log_probs(together, z, times)
    for s, first, own in alone(together):
        part = slice(first, first + int(own.valid.sum()))
        noised = own.ids.clone()
        noised[own.valid] = z[s, part]
        moved = times[s].roll(-(first // model.block_size))
        expected = log_probs(own, noised, moved[None])[own.valid]
        torch.testing.assert_close(packed[s, part], expected, rtol=0, atol=1e-6)


@torch.no_grad()
@settings(max_examples=25)
@given(**short)
def test_the_twin_gives_a_packed_row_the_likelihood_that_it_has_alone(sizes, seed):
    model, framing, rows = network("ar"), Framing(LENGTH, fill=False), short_rows(sizes, seed)
    together = layout.sequences(rows, layout.drawn(rows, framing, seed, 0), framing)[:6]
    expected = torch.zeros(len(together))
    for s, _, own in alone(together):
        expected[s] += nll(model, own)[0]
    torch.testing.assert_close(nll(model, together), expected, rtol=1e-6, atol=1e-6)
