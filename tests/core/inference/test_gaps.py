"""Texts with gaps, and gaps that choose their length."""

import pytest

from aios_core.config import resolve
from aios_core.errors import InferenceError
from aios_core.inference import ArrowEngine
from aios_core.inference.gaps import infilling
from aios_core.testing.fixtures import tiny_values
from aios_core.training.trainer import train
from aios_plugins.tokenizers.bytes import TrainedBytes

LETTERS = "abcdefghij"
MASK = TrainedBytes().vocabulary.mask_id


def read(text, choose=None, context=24):
    """What is given, and the lengths of gaps."""
    row = infilling(TrainedBytes(), text, 3, context, choose)
    assert [token != MASK for token in row.ids] == list(row.fixed)
    return "".join("_" if token == MASK else chr(token) for token in row.ids)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a ___ b", "a ___ b"),
        ("a <mask> b", "a ___ b"),
        ("<mask:1>b<mask:2>", "_b__"),
        (r"a \___ <mask:1>", "a ___ _"),
        (r"\<mask:*> \<mask> <mask:1>", "<mask:*> <mask> _"),
        (r"a \\<mask:1>", "a \\_"),
        (r"\\\___<mask:1>", "\\____"),
    ],
)
def test_marks_and_what_is_no_mark(text, expected):
    """A backslash in front makes a mark text; the underscores of text are no masks."""
    assert expected == read(text)


def test_lengths_are_chosen_from_left_to_right():
    asked = []

    def choose(before, behind, most):
        asked.append((len(before), len(behind), behind.count(MASK), most))
        return len(asked) + 1

    assert "ab__cd___ef_gh___" == read("ab<mask:*>cd<mask:*>ef<mask:1>gh<mask:3>", choose)
    # 12 tokens are there and one for the other gap; then one more for the first.
    assert [(2, 2, 0, 11), (6, 8, 4, 10)] == asked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ab<mask:*>", "<mask:[*]> at character 2: the text behind a gap says how long it is"),
        ("ab<mask:*><mask:3>", "at character 2: the text behind"),
        ("ab<mask:*><mask:*>cd", "at character 2: the text behind"),
        ("ab<mask:*>" + "x" * 22, r"at character 2: there is no room .* at most 24 .* got 25"),
        ("ab<mask:**>c", "at character 2: expected a gap of 1 to 24 tokens, got [*][*]"),
        ("ab<mask:99>c", "at character 2: expected a gap of 1 to 24 tokens, got 99"),
        (r"ab\<mask:*>c", "the text has no gap"),
    ],
)
def test_what_cannot_be_filled(text, expected):
    with pytest.raises(InferenceError, match=expected):
        read(text, lambda *_: 1)


def test_a_gap_is_as_long_as_what_is_missing(tmp_path, monkeypatch):
    """In a text that is the alphabet over and over; the length is known up to its period."""
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "corpus.txt").write_text(LETTERS * 800)
    values = tiny_values(tmp_path / "corpus.txt") | {
        "training": {"steps": 400, "batch_size": 32, "learning_rate": 5e-3},
        "sampler": {"type": "confidence", "steps": 24},
    }
    train(resolve(values), tmp_path / "run", progress=False)
    engine = ArrowEngine.load(tmp_path / "run")

    right = 0
    for size in range(1, 9):
        text = (LETTERS * 3)[size:]
        gapped = f"{text[:4]}<mask:*>{text[4 + size : 12 + size]}"
        filled = engine.infill(gapped)
        assert filled.token_ids == engine.infill([gapped, "a___"]).token_ids[:1]
        right += filled.given[0].count(False) % len(LETTERS) == size
    assert right >= 7


def test_a_text_without_room(engine):
    with pytest.raises(InferenceError, match="at most 23 tokens with gaps, got 41"):
        engine.infill("x" * 20 + "<mask:*>" + "x" * 20)
