"""Texts to learn from, texts that decide and texts that report: which windows go where."""

import attrs
import torch

from aios_core.config import resolve
from aios_core.contracts import Experience, Windows
from aios_core.training.layout import Framing
from aios_plugins.evolution.splits import Held, Splits, _part, _without, split, windows

STREAM = Framing(4, documents=False)
ROWS = Framing(4)


def test_texts_of_a_stream_are_laid_end_to_end_and_padded(loaded):
    """Ends of texts between them, nothing behind the last one, and no more than was asked for."""
    vocabulary = loaded.tokenizer.vocabulary
    eos, pad = vocabulary.eos_id, vocabulary.pad_id
    whole = windows(["ab", "cde"], loaded.tokenizer, STREAM, 9)

    assert [[97, 98, eos, 99], [100, 101, pad, pad]] == whole.ids.tolist()
    assert [[True] * 4, [True, True, False, False]] == whole.valid.tolist()
    short = attrs.evolve(STREAM, length=2)
    assert [[97, 98], [eos, 99]] == windows(["ab", "cde"], loaded.tokenizer, short, 2).ids.tolist()
    assert (0, 4) == tuple(windows([], loaded.tokenizer, STREAM, 9).ids.shape)


def test_windows_of_rows_are_of_one_text_each(loaded):
    """From the begin token, which is given, to the end token; what is left over is padding."""
    vocabulary = loaded.tokenizer.vocabulary
    bos, eos, pad = vocabulary.bos_id, vocabulary.eos_id, vocabulary.pad_id
    whole = windows(["ab", "cdef"], loaded.tokenizer, ROWS, 9)

    ids = [[bos, 97, 98, eos], [bos, 99, 100, 101], [102, eos, pad, pad]]
    assert ids == whole.ids.tolist()
    assert (torch.tensor(ids) != pad).tolist() == whole.valid.tolist()
    targets = [[False, True, True, True], [False, True, True, True], [True, True, False, False]]
    assert targets == whole.targets.tolist()
    assert [3, 3, 2] == whole.sizes.tolist()
    assert ids[:2] == windows(["ab", "cdef"], loaded.tokenizer, ROWS, 2).ids.tolist()
    assert (0, 4) == tuple(windows([], loaded.tokenizer, ROWS, 9).ids.shape)


def test_halves_are_contiguous_and_as_large():
    ids = torch.arange(14).view(7, 2)
    whole = Windows(ids, ids >= 0)

    assert [0, 2, 4] == _part(whole, 0).ids[:, 0].tolist()
    assert [6, 8, 10] == _part(whole, 1).ids[:, 0].tolist()


def test_what_stands_at_any_offset_is_left_out():
    """A padded window counts by its tokens; padding of the fitting texts is no text."""
    fitting = Windows(
        torch.tensor([[1, 2, 3], [4, 5, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]]) > 0
    )
    held = Windows(
        torch.tensor([[2, 3, 4], [4, 5, 0], [3, 2, 1], [5, 9, 9], [4, 5, 0]]),
        torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 1, 1]]) > 0,
    )
    kept, dropped = _without(held, fitting)

    assert ([[3, 2, 1], [4, 5, 0]], 3) == (kept.ids.tolist(), dropped)


def test_splits_are_as_large_as_was_asked(loaded, settings):
    splits = split(settings("evolution.fitting_windows=40").config, loaded.tokenizer)
    fitted = splits.fitting

    assert (40, 40) == (len(fitted.target), len(fitted.base))
    assert (24, 24) == (len(splits.gate.target), len(splits.report.target))


def test_no_text_is_read_that_is_not_wanted(loaded):
    """To the last token: the end of a text fills the window, and what lies behind is not read."""
    eos, read = loaded.tokenizer.vocabulary.eos_id, []

    def texts():
        for text in ("abc", "de", "f", "g"):
            read.append(text)
            yield text

    assert [[97, 98, 99, eos]] == windows(texts(), loaded.tokenizer, STREAM, 1).ids.tolist()
    read.clear()
    longer = attrs.evolve(STREAM, length=6)
    six = windows(texts(), loaded.tokenizer, longer, 1)
    assert [[97, 98, 99, eos, 100, 101]] == six.ids.tolist()
    assert "g" not in read
    read.clear()
    assert 3 == len(windows(texts(), loaded.tokenizer, ROWS, 3))
    assert ["abc", "de"] == read
    short = attrs.evolve(STREAM, length=2)
    long = windows(["ab" * 9000], loaded.tokenizer, short, 300)
    assert [[97, 98]] * 300 == long.ids.tolist(), "the beginning of a long text is enough"


def test_nothing_is_left_where_all_stands_in_the_fitting_texts():
    ids = torch.arange(12).view(3, 4)
    whole = Windows(ids, ids >= 0)
    kept, dropped = _without(whole, whole)

    assert ((0, 4), 3) == (tuple(kept.ids.shape), dropped)


def test_every_evidence_is_learned_from_and_its_own_corpus_is_the_base(loaded, tmp_path):
    """In the order of the configuration, each by its own halves; the seed is the run's."""
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text("".join(f"{name}{n:04} " for n in range(900)))
    a, b, c = ({"type": "file", "path": str(tmp_path / f"{name}.txt")} for name in "abc")
    values = loaded.state.values | {"evidence": [a, b], "dataset": c, "seed": 11}
    splits = split(resolve(values).config, loaded.tokenizer)

    def text(found_windows):
        return loaded.tokenizer.decode(found_windows.ids[found_windows.valid].numpy())

    assert 11 == splits.fitting.seed
    assert text(splits.fitting.target).startswith("a0000 a0001 ")
    assert "b0000 b0001 " in text(splits.fitting.target)
    assert "c" not in text(splits.fitting.target)
    assert text(splits.fitting.base).startswith("c0000 c0001 ")
    for half in (splits.gate, splits.report):
        assert set("c0123456789 ") >= set(text(half.base))
        assert "c" not in text(half.target)
    assert "a0899" in text(splits.gate.target) + text(splits.report.target)
    assert "b" in text(splits.report.target)


def test_digests_of_splits_are_of_what_they_say():
    """Of both domains of what decides, each in its place; and of what is learned from."""
    first, second = (Windows(torch.full((2, 2), n), torch.ones(2, 2) > 0) for n in (1, 2))
    pairs = [
        Held(*pair).fingerprint
        for pair in ((first, first), (first, second), (second, first), (second, second))
    ]

    assert 4 == len(set(pairs))
    assert Held(first, second).fingerprint == pairs[1]
    learned = [
        Splits(Experience(target, base, seed), Held(first, gate), Held(first, first), 0).fingerprint
        for target, base, seed, gate in (
            (first, first, 0, first),
            (first, second, 1, second),
            (second, first, 0, first),
        )
    ]
    assert learned[0] == learned[1] != learned[2]
