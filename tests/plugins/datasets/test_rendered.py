"""Texts as pictures and speech: they hold what they say, and nothing held out is trained on."""

from __future__ import annotations

import os
import shutil
import sys
from typing import ClassVar

import numpy as np
import pytest

from aios_core.config import resolve
from aios_core.contracts import Dataset, Row
from aios_core.errors import ConfigError, DataError, MissingExtraError
from aios_core.testing.contracts.dataset import DatasetContract
from aios_plugins.datasets import _speech, rendered
from aios_plugins.datasets.rendered import Rendered

Image = pytest.importorskip("PIL.Image")
ImageDraw = pytest.importorskip("PIL.ImageDraw")
pytest.importorskip("soundfile")

WORDS = ("zero", "one", "two", "three", "four")
needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")


@pytest.fixture(scope="session")
def fonts():
    """Some fonts that anybody has: those of matplotlib."""
    matplotlib = pytest.importorskip("matplotlib")
    from pathlib import Path

    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    return tuple(folder / f"DejaVuSans{name}.ttf" for name in ("", "-Bold", "Mono", "-Oblique"))


class Texts(Dataset):
    """Ten texts to train on, and two that are held out."""

    def rows(self, split):
        for number in range(10) if split == "train" else range(10, 12):
            yield Row.of(f"text {number}")


class TestWords(DatasetContract):
    @pytest.fixture
    def instance(self, fonts):
        return Rendered(words=WORDS, fonts=fonts, size=(16, 64))


class TestSource(DatasetContract):
    @pytest.fixture
    def instance(self, fonts):
        return Rendered(source=Texts(), fonts=fonts, size=(16, 64))


@needs_flite
class TestSpeech(DatasetContract):
    varied: ClassVar = {}  # each value of each field would speak all words again

    @pytest.fixture
    def instance(self):
        return Rendered(words=WORDS[:2], speech="flite", voices=("kal", "rms"))


def pictures(data, split="train"):
    return [row.segments[1].content for row in data.rows(split)]


def problem(data, split="train") -> str:
    with pytest.raises(DataError) as caught:
        list(data.rows(split))
    return str(caught.value)


def test_a_row_is_a_text_and_a_picture_of_its_letters(fonts):
    rows = list(Rendered(words=WORDS, fonts=fonts, size=(16, 64), repeats=3).rows("train"))

    assert WORDS * 3 == tuple(row.segments[0].content for row in rows)
    assert ("text", "image") == tuple(segment.modality for segment in rows[0].segments)
    assert "rendered, train row 2" == rows[1].where
    for row in rows:
        pixels = row.segments[1].content
        assert (16, 64, 1) == pixels.shape
        assert np.uint8 == pixels.dtype
        assert pixels.max() > 150
        assert (pixels == 0).mean() > 0.3


@pytest.mark.parametrize("text", ["fjgÄ", "fly", "W", "a word of some lengths, jagged: fjord"])
def test_no_ink_leaves_a_picture(fonts, text):
    """Letters that lean or hang beyond their places would be cut off."""
    for font in fonts:
        for seed in range(8):
            random = np.random.default_rng(seed)
            drawn = rendered._drawn(text, font, (40, 48), random)
            again = np.random.default_rng(seed)
            wide = whole(text, font, (40, 48), again)
            assert int(drawn.sum()) == int(wide.sum()), (font.name, seed)


def whole(text, path, size, random):
    """The same with a margin, in which nothing is cut off."""
    from unittest.mock import patch

    margin, real = 50, ImageDraw.Draw

    class Shifted:
        def __init__(self, image):
            self.image = Image.new("L", (image.width + 2 * margin, image.height + 2 * margin))
            self.draw = real(self.image)
            made.append(self.image)

        def multiline_text(self, place, *words, **how):
            self.draw.multiline_text((place[0] + margin, place[1] + margin), *words, **how)

        def multiline_textbbox(self, *words, **how):
            return self.draw.multiline_textbbox(*words, **how)

    made: list = []
    with patch.object(ImageDraw, "Draw", Shifted):
        rendered._drawn(text, path, size, random)
    return np.array(made[0], np.uint8)


def test_seeds_draw_other_pictures_and_the_same_seed_the_same(fonts):
    first, again, other = (
        pictures(Rendered(words=WORDS, fonts=fonts, size=(16, 64), seed=seed)) for seed in (0, 0, 1)
    )

    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))


def test_a_row_does_not_depend_on_the_number_of_repeats(fonts):
    few, many = (
        pictures(Rendered(words=WORDS, fonts=fonts, size=(16, 64), repeats=n)) for n in (1, 4)
    )

    assert all(map(np.array_equal, few, many[: len(few)]))
    assert not np.array_equal(many[0], many[len(WORDS)])


def test_of_words_fonts_and_voices_are_held_out(fonts):
    data = Rendered(words=WORDS, fonts=fonts, repeats=30)
    train, held_out = (data._own(fonts, split, "fonts") for split in ("train", "validation"))

    assert (3, 1) == (len(train), len(held_out))
    assert set(fonts) == {*train, *held_out}
    assert 3 * len(WORDS) == len(list(data.rows("validation")))
    assert "expected two fonts at least, one of them to hold out, got 1" in problem(
        Rendered(words=WORDS, fonts=fonts[0])
    )


def test_of_a_source_its_texts_are_held_out(fonts):
    data = Rendered(source=Texts(), fonts=fonts[0], size=(16, 64), repeats=2)
    train, held_out = (
        [row.segments[0].content for row in data.rows(split)] for split in ("train", "validation")
    )

    assert [f"text {n}" for n in range(10)] * 2 == train
    assert ["text 10", "text 11"] == held_out


def test_a_font_without_a_letter_is_not_drawn(fonts):
    """It would draw a box, and nobody would know."""
    sans, mono = fonts[0], fonts[2]
    letter = next(c for c in map(chr, range(0x370, 0x600)) if rendered._lacking(mono, c))
    assert not rendered._lacking(sans, letter)
    able = {rendered._able(fonts, letter, np.random.default_rng(n)) for n in range(50)}
    assert sans in able
    assert mono not in able
    assert rendered._lacking(sans, "\ue123\U000f1234 a") == "\ue123\U000f1234"
    words = (*WORDS, "\U000f1234")
    assert "no font has all letters; DejaVuSans" in problem(Rendered(words=words, fonts=fonts))


def test_what_does_not_fit_or_is_blank_is_named(fonts):
    long = "antidisestablishmentarianism " * 20
    assert "does not fit into 28 x 28 pixels" in problem(Rendered(words=(long,), fonts=fonts))
    assert "rendered, train row 2: the text is blank" in problem(
        Rendered(words=("a", " \n"), fonts=fonts)
    )


def test_folders_of_fonts_are_sorted_and_what_is_none_is_named(fonts, tmp_path):
    (tmp_path / "deep").mkdir()
    for number, name in enumerate(("b.ttf", "deep/a.TTF")):
        shutil.copy(fonts[number], tmp_path / name)
    (tmp_path / "readme.txt").write_text("no font")

    assert ["b.ttf", "a.TTF"] == [path.name for path in rendered._files(tmp_path)]
    assert 2 == len(rendered._files((tmp_path, tmp_path / "b.ttf")))
    with pytest.raises(DataError, match=r"readme.txt: no font; expected .ttf, .otf, .ttc, or a"):
        rendered._files(tmp_path / "readme.txt")
    with pytest.raises(DataError, match="none: no font"):
        rendered._files(tmp_path / "none")
    (tmp_path / "b.ttf").write_bytes(b"no font")
    assert "b.ttf: is no font that can be read" in problem(Rendered(source=Texts(), fonts=tmp_path))


def test_an_extra_that_is_not_installed_is_named(fonts, monkeypatch):
    rendered._font.cache_clear()
    rendered._has.cache_clear()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"ai-os-diffusion\[image\]"):
        list(Rendered(words=WORDS, fonts=fonts).rows("train"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "words"),
        ({"words": []}, "words"),
        ({"words": ["a", "a"]}, "words"),
        ({"words": ["a"], "source": {"type": "sudoku"}}, "source"),
        ({"words": ["a"], "fonts": []}, "fonts"),
        ({"words": ["a"], "speech": "say"}, "speech"),
        ({"words": ["a"], "speech": "flite"}, "voices"),
        ({"words": ["a"], "fonts": ["f"], "voices": ["kal"]}, "voices"),
        ({"words": ["a"], "speech": "flite", "voices": ["../kal"]}, "voices"),
        ({"words": ["a"], "speech": "flite", "voices": ["--help"]}, "voices"),
        ({"words": ["a"], "speech": "flite", "voices": ["http://host/x.flitevox"]}, "voices"),
        ({"words": ["a"], "fonts": ["f"], "size": [4, 28]}, "size"),
        ({"words": ["a"]}, "expected fonts, or a program that speaks"),
    ],
)
def test_values_that_do_not_go_together_are_refused(fields, words):
    with pytest.raises(ConfigError, match=words):
        resolve({"dataset": {"type": "rendered", **fields}})


# Speech


@needs_flite
def test_speech_says_words_by_voices_that_are_not_held_out():
    data = Rendered(words=WORDS[:2], speech="flite", voices=("kal", "rms", "slt"), rate=8000)
    train, again = (list(data.rows("train")) for _ in range(2))

    assert train == again
    for row in train:
        sound = row.segments[1].content
        assert ("audio", 8000) == (row.segments[1].modality, sound.rate)
        assert 0.2 < len(sound.samples) / 8000 < 1.5
        assert 0.05 < np.abs(sound.samples).max() <= 1
    voices = [data._own(data.voices, split, "voices") for split in ("train", "validation")]
    assert (2, 1) == tuple(map(len, voices))
    assert {"kal", "rms", "slt"} == {*voices[0], *voices[1]}


@needs_flite
def test_a_faster_speech_is_shorter():
    slow, fast = (
        len(_speech.spoken("flite", "rms", "a few words", speed, 8000).samples)
        for speed in (0.8, 1.25)
    )

    assert 1.3 < slow / fast < 1.8


@needs_flite
def test_a_text_is_said_whatever_it_looks_like():
    """It is in a file: it is no option, and no path."""
    plain = _speech.spoken("flite", "kal", "o x", 1, 8000)

    for text in ("-o x", "--help", "$(echo no)", "'; echo no", "/etc/hostname"):
        assert len(_speech.spoken("flite", "kal", text, 1, 8000).samples) >= len(plain.samples) / 3


@needs_flite
@pytest.mark.parametrize("text", ["é", "a\0b", "\x1b[2J", " "])
def test_what_flite_does_not_read_is_refused(text):
    with pytest.raises(DataError, match="expected a text of ASCII that is printable and not blank"):
        _speech.spoken("flite", "kal", text, 1, 8000)


@needs_flite
def test_a_voice_that_flite_has_not_is_refused():
    """It would speak with another one, and say so nowhere."""
    data = Rendered(words=WORDS, speech="flite", voices=("kal", "nobody"))

    assert "flite has no voice 'nobody'; expected one of " in problem(data)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A function that puts a program on the PATH, alone."""

    def program(name, script):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent))

    _speech._printed.cache_clear()
    yield program
    _speech._printed.cache_clear()


@pytest.mark.parametrize("name", ["flite", "espeak-ng"])
def test_a_program_that_is_not_there_or_fails_is_named(program, monkeypatch, name):
    data = Rendered(words=WORDS, speech=name, voices=("a", "b"))
    monkeypatch.setenv("PATH", os.devnull)
    assert f"the program {name!r} is not installed; expected it on the PATH" in problem(data)
    program(name, "echo out of order >&2; exit 3")
    assert f"{name}: ended with 3: out of order" in problem(data)


def test_a_program_that_takes_too_long_is_ended(program, monkeypatch):
    monkeypatch.setattr(_speech, "_SECONDS", 0.2)
    program("flite", "while :; do :; done")
    assert "timed out" in problem(Rendered(words=WORDS, speech="flite", voices=("a", "b")))


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_espeak_speaks_and_its_voices_are_known():
    data = Rendered(words=WORDS[:2], speech="espeak-ng", voices=("en-us", "en-us+f3"))
    train, again = (list(data.rows("train")) for _ in range(2))

    assert train == again
    assert 0.2 < len(train[0].segments[1].content.samples) / 8000 < 1.5
    for voices, words in ((("en", "en+nobody"), "no variant 'nobody'"), (("en", "xx"), "does not")):
        data = Rendered(words=WORDS, speech="espeak-ng", voices=voices, repeats=20)
        with pytest.raises(DataError, match=words):
            [row for split in ("train", "validation") for row in data.rows(split)]
