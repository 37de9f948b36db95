"""The default modalities, and what each promises besides the contract."""

import io
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_core.contracts import Sound
from aios_core.errors import DataError
from aios_core.testing.contracts.modality import ModalityContract
from aios_plugins.heads.patches import Patches
from aios_plugins.modalities._mel import log_mel, sound_of
from aios_plugins.modalities.codes import Codes
from aios_plugins.modalities.mel import Mel
from aios_plugins.modalities.mulaw import MuLaw
from aios_plugins.modalities.pixels import Pixels
from aios_plugins.modalities.text import Text


class TestText(ModalityContract):
    component = Text()


class TestWords(ModalityContract):
    component = Text(unit="word", length=2)


class TestPixels(ModalityContract):
    component = Pixels(size=(8, 12), patch=4)
    error = 0.0


class TestColours(ModalityContract):
    component = Pixels(size=(8, 8), patch=8, channels=3, head=Patches(bottleneck=16))
    error = 0.0


class TestMel(ModalityContract):
    component = Mel(frames=16, bands=16)
    error = 0.5


class TestMuLaw(ModalityContract):
    component = MuLaw(samples=64)


class TestCodes(ModalityContract):
    component = Codes(size=7, grid=(6, 4))


@given(st.lists(st.text("abc xyz", max_size=12), min_size=1, max_size=9))
def test_a_text_comes_back_character_by_character(texts):
    if not any(texts):
        with pytest.raises(DataError, match="no text"):
            Text().fit(texts)
        return
    codec = Text().fit(texts)

    assert texts == [codec.decode(codec.encode(text)) for text in texts]


def test_a_text_that_no_training_text_could_be_is_refused():
    codec = Text().fit(["one", "two"])

    with pytest.raises(DataError, match="'three' has 5 characters; expected at most 3"):
        codec.encode("three")
    with pytest.raises(DataError, match="'six' has the character 's', which no text"):
        codec.encode("six")
    with pytest.raises(DataError, match="the longest text has 5 characters; expected at most"):
        Text(length=4).fit(["three"])


def test_every_picture_of_8_bits_comes_back():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    codec = Pixels(size=(16, 16)).fit([pixels, pixels // 3])

    assert np.array_equal(pixels, codec.decode(codec.encode(pixels)))


def test_a_picture_of_another_size_or_mode_is_refused():
    codec = Pixels(size=(8, 8)).fit([np.zeros((8, 8), np.uint8), np.ones((8, 8, 1), np.uint8)])
    for shape, words in (
        ((8, 9, 1), "is a picture of 8 x 9 with 1 channel; expected 8 x 8 with 1 channel"),
        ((8, 8, 3), "8 x 8 with 3 channels; expected 8 x 8 with 1 channel"),
        ((8, 8, 4), "expected a picture of 1 or 3 channels"),
    ):
        with pytest.raises(DataError, match=words):
            codec.encode(np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match="uint8"):
        codec.encode(np.full((8, 8), np.nan))
    with pytest.raises(ValueError, match="expected a divisor"):
        Pixels(size=(8, 9), patch=4)


def test_a_picture_is_shown_as_a_file_that_others_read():
    image = pytest.importorskip("PIL.Image")
    for channels in (1, 3):
        pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
        shown = Pixels(size=(5, 7), patch=1, channels=channels).fit([pixels]).show(pixels)
        with image.open(io.BytesIO(shown.data)) as opened:
            assert np.array_equal(pixels.squeeze(), np.asarray(opened))


def test_a_sound_of_another_rate_or_length_is_refused():
    codec = Mel().fit([Mel().example(0)])
    with pytest.raises(DataError, match="has 16000 samples a second; expected 8000"):
        codec.encode(Sound(np.zeros(8, np.float32), 16000))
    with pytest.raises(
        DataError, match=r'is 0\.625 s long; expected at most 0\.512 s, or long = "cut"'
    ):
        codec.encode(Sound(np.zeros(5000, np.float32), 8000))
    with pytest.raises(DataError, match="no finite numbers"):
        codec.encode(Sound(np.full(10, np.nan, np.float32), 8000))
    cut = Mel(long="cut").fit([Mel().example(0)])
    assert (32, 32) == cut.encode(Sound(np.zeros(5000, np.float32), 8000)).shape


def test_what_comes_back_of_a_tone_is_that_tone():
    t = np.arange(4096) / 8000
    for frequency in (440, 1000, 2500):
        tone = (0.5 * np.sin(2 * np.pi * frequency * t)).astype(np.float32)
        back = sound_of(log_mel(tone, 8000, 256, 128, 64), 8000, 256, 128)
        spectrum = np.abs(np.fft.rfft(back))
        peak = np.fft.rfftfreq(len(back), 1 / 8000)[spectrum.argmax()]
        assert abs(peak - frequency) < 80
        assert 0.2 < back.std() / tone.std() < 2


def test_a_sound_is_shown_as_a_wav():
    sound = Mel().example(3)
    with wave.open(io.BytesIO(Mel().fit([sound]).show(sound).data)) as file:
        assert (1, 2, 8000) == (file.getnchannels(), file.getsampwidth(), file.getframerate())
        read = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
    assert np.abs(read - sound.samples).max() < 1e-4


@given(st.floats(-1, 1, width=32))
def test_mu_law_is_fine_near_zero(value):
    codec = MuLaw(samples=1).fit([MuLaw(samples=1).example(0)])

    back = codec.decode(codec.encode(Sound(np.array([value], np.float32), 8000))).samples[0]

    assert abs(back - value) <= 0.024 * abs(value) + 1e-4


def test_codes_keep_to_their_book():
    """M5: whichever level a place is of, all that can be drawn there is a code of it."""
    codes = np.array([[0, 7], [3, 3], [7, 0]])
    codec = Codes(size=8, grid=(3, 2)).fit([codes])

    assert np.array_equal(codes, codec.decode(codec.encode(codes)))
    assert 9 == codec.space.size
    for wrong in (codes - 1, codes + 1, codes.T, codes.astype(float)):
        with pytest.raises(DataError, match="expected"):
            codec.encode(wrong)
