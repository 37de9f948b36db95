"""Digits: what is in the wheel, and that nothing held out is trained on."""

import numpy as np
import pytest

from aios_core.errors import DataError
from aios_core.testing.contracts.dataset import DatasetContract
from aios_plugins.datasets import digits
from aios_plugins.datasets.digits import FILE, WORDS, Digits


class TestDigits(DatasetContract):
    component = Digits(size=8)


def test_the_file_is_small_enough_for_a_wheel():
    assert FILE.stat().st_size <= 300_000


def test_all_segments_of_a_row_say_one_word():
    rows = list(Digits(size=16).rows("validation"))

    assert 179 == len(rows)
    assert set(WORDS) == {row.segments[0].content for row in rows}
    for row in rows:
        text, image, audio = row.segments
        assert (16, 16, 1) == image.content.shape
        assert np.uint8 == image.content.dtype
        assert image.content.max() > 150
        assert 8000 == audio.content.rate
        assert 0.1 * 8000 < len(audio.content.samples) <= 4096
        assert ("text", "image", "audio") == tuple(s.modality for s in row.segments)
        assert text.content in WORDS


def test_no_held_out_take_is_trained_on():
    """Of each word one of eight takes, which is not varied."""
    data = digits._read()
    for digit in range(10):
        takes = np.flatnonzero(data["words"] == digit)
        held_out = takes[digit % len(takes)]
        random = np.random.default_rng(0)
        kept = digits._sound(data, digit, random, train=False).samples
        assert np.array_equal(kept, digits._samples(data, held_out))


def test_seeds_give_other_pairs_and_the_same_seed_the_same():
    first, again, other = (
        next(iter(Digits(seed=seed).rows("train"))).segments[2].content for seed in (0, 0, 1)
    )

    assert first == again
    assert first != other


def test_a_damaged_file_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "digits.npz"
    path.write_bytes(FILE.read_bytes()[:-1])
    monkeypatch.setattr(digits, "FILE", path)
    digits._read.cache_clear()
    try:
        with pytest.raises(DataError, match="is damaged"):
            next(Digits().rows("train"))
        path.unlink()
        with pytest.raises(DataError, match="cannot be read"):
            next(Digits().rows("train"))
    finally:
        digits._read.cache_clear()
