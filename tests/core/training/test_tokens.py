"""A split as sequences: in any order, in any parts, row by row."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_core.contracts import Row, Segment
from aios_core.errors import DataError
from aios_core.training import layout, token_rows
from aios_core.training.layout import Framing
from aios_core.training.tokens import Layouts, Tokens
from aios_plugins.tokenizers.bytes import Bytes

TOKENIZER = Bytes().train([])


def answer(number: int) -> Row:
    """A question with its answer."""
    question = Segment("question", f"{number} and {number}? ", "given")
    return Row((question, Segment("answer", str(2 * number))))


ANSWERS = [answer(number) for number in range(40)]
TEXTS = [Row.of("ab" * size) for size in range(40)]


def tokens(rows: list[Row], **framing) -> Tokens:
    with TemporaryDirectory() as folder:
        token_rows.write(Path(folder), rows, TOKENIZER)
        read = token_rows.read(Path(folder), TOKENIZER.vocabulary, mapped=False)
    num_bytes = sum(len(row.joined("target").encode()) for row in rows)
    return Tokens(read, num_bytes, "", Framing(**{"length": 24, **framing}))


def same(first, second):
    """Whether sequences hold the same, and see the same."""
    named = ("ids", "valid", "targets", "sizes")
    return all(torch.equal(getattr(first, n), getattr(second, n)) for n in named) and all(
        torch.equal(seen(a), seen(b)) for a, b in zip(each(first), each(second), strict=True)
    )


def each(sequences):
    return [sequences[i : i + 1] for i in range(len(sequences))]


def seen(sequence):
    """(L, L): which positions each one that is valid may see."""
    condition, valid = sequence.condition(), sequence.valid[0]
    mask = valid[None] & valid[:, None]
    return mask if condition.mask is None else mask & condition.mask[0]


@pytest.fixture(params=["answers", "texts", "stream"])
def split(request, monkeypatch):
    """Whose layouts are so small that a few batches go through several."""
    monkeypatch.setattr(layout, "_AT_LEAST", 5)
    rows = {"answers": ANSWERS, "texts": TEXTS, "stream": TEXTS}[request.param]
    return tokens(rows, documents=request.param != "stream")


def test_batches_are_what_smaller_ones_are_together(split):
    """So gradients may be accumulated, and workers may take parts, without another draw."""
    if not split.framing.documents:
        pytest.skip("windows of a stream are drawn for a step")
    for step in range(4):
        whole = split.batch(step, 3, 16)
        for part in range(4):
            expected = whole[slice(4 * part, 4 * part + 4)]
            assert same(split.batch(4 * step + part, 3, 4), expected)


def test_a_batch_does_not_depend_on_those_before(split):
    """A run that goes on from a checkpoint asks for none of them."""
    fresh = evolve(split)
    expected = {step: split.batch(step, 3, 7) for step in (0, 1, 2, 9, 10, 30)}
    for step in (30, 2, 9, 0, 10, 1):
        assert same(fresh.batch(step, 3, 7), expected[step])
    assert not same(fresh.batch(1, 4, 7), expected[1])
    assert not same(fresh.batch(2, 3, 7), expected[1])
    assert same(fresh.batch(1, 3, 7), expected[1]), "after another seed"


@settings(max_examples=20)
@given(size=st.integers(1, 40), seed=st.integers(0, 9))
def test_batches_go_on_from_one_pass_to_the_next(size, seed):
    """All of several passes is in batches of any size, nothing of it twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "_AT_LEAST", 5)
        split = tokens(ANSWERS)
        passes = [layout.drawn(split.rows, split.framing, seed, number) for number in range(3)]
        count = sum(chunks.count for chunks in passes)
        layouts = Layouts(split.rows, split.framing)
        starts = range(0, count, size)
        parts = [layouts.batch(seed, start, min(size, count - start)) for start in starts]
    assert [size] * (len(parts) - 1) == [len(part) for part in parts[:-1]]
    ids = torch.cat([part.ids for part in parts])
    whole = [layout.sequences(split.rows, chunks, split.framing).ids for chunks in passes]
    assert torch.equal(torch.cat(whole), ids)


def test_what_an_answer_is_of(split):
    """Only targets are learned, and counted; a question is seen as it is."""
    if split.rows.segments is None:
        assert split.ids.tolist() == split.rows.ids[: len(split.ids)].tolist()
        return
    vocabulary, text = TOKENIZER.vocabulary, "".join(row.joined("target") for row in ANSWERS)
    ids = split.ids
    assert text == TOKENIZER.decode(ids[ids != vocabulary.eos_id])
    assert len(ANSWERS) == (ids == vocabulary.eos_id).sum()
    measured = split.sequences()
    assert len(ids) == measured.sizes.sum()
    for row, sequence in zip(ANSWERS, each(measured), strict=True):
        prompt = sequence.ids[0][sequence.valid[0] & ~sequence.targets[0]].tolist()
        assert vocabulary.bos_id == prompt[0]
        assert row.joined("given") == TOKENIZER.decode(np.array(prompt[1:], np.int32))


def test_some_sequences_are_spread_over_the_split_or_chosen_by_their_row():
    split = tokens(ANSWERS)
    every, some = split.sequences(), split.sequences(count=4)
    assert same(every[torch.tensor([0, 13, 26, 39])], some)
    assert same(every, split.sequences(count=99))
    assert same(every[torch.tensor([7, 3])], split.sequences(rows=np.array([7, 3])))
    assert (10, 32) == split.sequences(32, 10).ids.shape


@given(st.integers(1, 200))
def test_the_first_tokens_are_whole_rows(count):
    """As many as there is room for, and at least one."""
    for rows in (ANSWERS, TEXTS[3:]):
        split = tokens(rows)
        sizes = np.cumsum([len(row.joined("target")) + 1 for row in rows])
        number = max(1, int((sizes <= count).sum()))
        part = split.first(count, TOKENIZER)

        assert number == len(part.rows)
        assert sizes[number - 1] == len(part.ids)
        assert sum(len(row.joined("target")) for row in rows[:number]) == part.num_bytes
        expected = split.sequences(rows=np.arange(min(number, 8)))
        assert same(expected, part.sequences(rows=np.arange(min(number, 8))))


@given(st.integers(1, 2000))
def test_the_first_tokens_of_a_stream_are_as_many(count):
    split = tokens(TEXTS, documents=False)
    part = split.first(count, TOKENIZER)
    ids = split.ids[:count]

    assert ids.tolist() == part.ids.tolist()
    assert len(TOKENIZER.decode(ids[ids != TOKENIZER.vocabulary.eos_id])) == part.num_bytes


def test_rows_are_decoded_from_their_tokens():
    segments = (Segment("a", "ü", "given"), Segment("a", ""), Segment("b", "x\n"))
    rows = [answer(3), Row(segments), Row.of("alone"), Row((Segment("a", "gone", "absent"),
                                                            Segment("c", "here")))]  # fmt: skip
    split = tokens(rows)
    expected = [*rows[:2], Row.of("alone"), Row((Segment("c", "here"),))]
    assert expected == [split.row(number, TOKENIZER) for number in range(4)]
    assert TEXTS == [tokens(TEXTS).row(number, TOKENIZER) for number in range(40)]


TOO_LONG = (
    "row 2 of the training split has 21 tokens, its begin and end token among them, and 1 rows "
    "are longer than diffusion.length = 20: rows of several segments are not cut; expected a larger"
)
CUT = "packing = 'stream' cuts texts anywhere, and the rows of the data set give parts that must be"
SHORT = "the training split has 4 tokens, fewer than diffusion.length = 24; expected a longer text"


@pytest.mark.parametrize(
    ("rows", "framing", "message"),
    [
        ([answer(1), answer(1000), answer(2)], {"length": 20}, TOO_LONG),
        ([Row.of("text"), answer(1)], {"documents": False}, CUT),
        ([Row.of("text")], {"documents": False}, SHORT),
    ],
)
def test_what_sequences_cannot_hold_is_refused(rows, framing, message):
    with pytest.raises(DataError, match=message):
        tokens(rows, **framing).check("the training split")


def test_what_sequences_can_hold_is_not():
    """A long text is cut; a short one is not too short to be measured on."""
    tokens([answer(1000)], length=21).check("the training split")
    tokens([Row.of("x" * 100), Row((Segment("answer", "x" * 100),))]).check("the training split")
    tokens([Row.of("text")]).check("the training split")
    tokens([Row.of("text")], documents=False).check("the validation split")
