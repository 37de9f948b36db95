"""Digits as words, pictures and speech, all in the wheel: no download."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from attrs import field, frozen, validators

from aios_core.contracts import Dataset, Row, Segment, Sound
from aios_core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.contracts import Split

WORDS: Final = (
    *("zero", "one", "two", "three", "four"),
    *("five", "six", "seven", "eight", "nine"),
)

FILE: Final = Path(__file__).with_name("digits.npz")
_SHA256: Final = "62e9acef83b4e9ec11f6c19698f65476953147eeb36be8500c0c6f9c5bf7dd0a"
_RATE: Final = 8000
_REPEATS: Final = 4
"""Rows of each picture to train on, each with another sound."""
_LONGEST: Final = 4096
"""Samples of a varied take."""


@frozen
class Digits(Dataset):
    """The ten digits: a row is a word, a handwritten picture of it, and somebody who says it.

    Pictures are the 1,797 of the UCI optical digits (E. Alpaydin and C. Kaynak, CC BY 4.0), grey,
    8 x 8, or 16 x 16 by linear interpolation; the last tenth is held out. Speech was made with
    flite: ten words by four voices in two manners, 8 kHz, at most 0.51 s; of each word one take of
    eight is held out, and those to train on are varied in speed, loudness and place. A picture
    stands with another take of its word in each row. Segments are named ``text``, ``image`` and
    ``audio``.
    """

    size: Literal[8, 16] = field(default=16, validator=validators.in_((8, 16)))
    """Height and width of a picture."""
    seed: int = field(default=0, validator=[validators.ge(0), validators.le(2**32 - 1)])
    """Decides which sound a picture stands with, and how that is varied."""

    def rows(self, split: Split) -> Iterator[Row]:
        """Words with pictures and sounds.

        Raises:
            DataError: the file of the wheel is damaged.
        """
        data = _read()
        pixels, classes = data["pixels"], data["classes"]
        border = len(pixels) - len(pixels) // 10
        own = range(border) if split == "train" else range(border, len(pixels))
        random = np.random.default_rng([self.seed, split == "train"])
        for repeat in range(_REPEATS if split == "train" else 1):
            for number in own:
                digit = int(classes[number])
                sound = _sound(data, digit, random, train=split == "train")
                yield Row(
                    (
                        Segment("text", WORDS[digit], modality="text"),
                        Segment("image", _picture(pixels[number], self.size), modality="image"),
                        Segment("audio", sound, modality="audio"),
                    ),
                    where=f"digits, picture {number}, repeat {repeat}",
                )

    def files(self) -> tuple[Path, ...]:
        """That of the wheel."""
        return (FILE,)


@cache
def _read() -> dict[str, NDArray[Any]]:
    try:
        content = FILE.read_bytes()
    except OSError as error:
        raise DataError(f"{FILE}: cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise DataError(f"{FILE}: is damaged; expected the file of the installed package")
    with np.load(FILE, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    data["starts"] = np.concatenate(([0], np.cumsum(data["lengths"].astype(np.int64))))
    return data


def _picture(counts: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(size, size, 1) of 64 counts from 0 to 16."""
    grid = counts.reshape(8, 8).astype(np.float64) * (255 / 16)
    if size == 16:  # between the middles of the cells
        places = (np.arange(16) + 0.5) / 2 - 0.5
        for _ in range(2):
            grid = np.stack([np.interp(places, np.arange(8), line) for line in grid]).T
    return grid.round().clip(0, 255).astype(np.uint8)[..., None]


def _sound(
    data: dict[str, NDArray[Any]], digit: int, random: np.random.Generator, *, train: bool
) -> Sound:
    """A take of a word: one of seven, varied, or the eighth as it is."""
    takes = np.flatnonzero(data["words"] == digit)
    held_out = int(takes[digit % len(takes)])
    if not train:
        return Sound(_samples(data, held_out), _RATE)
    others = takes[takes != held_out]
    samples = _samples(data, int(others[random.integers(len(others))]))
    speed, gain = random.uniform(0.8, 1.25), random.uniform(0.6, 1.2)
    places = np.arange(int(len(samples) / speed)) * speed
    varied = np.interp(places, np.arange(len(samples)), samples) * gain
    quiet = np.zeros(int(random.integers(0, 160)))
    made = np.concatenate((quiet, varied))[:_LONGEST]
    made += random.normal(size=len(made)) * random.uniform(0, 4e-3)
    return Sound(made.clip(-1, 1).astype(np.float32), _RATE)


def _samples(data: dict[str, NDArray[Any]], clip: int) -> NDArray[np.float32]:
    """The samples of a clip, which is kept in 256 levels (mu-law)."""
    own = slice(data["starts"][clip], data["starts"][clip + 1])
    y = (data["speech"][own].astype(np.float64) + 0.5) / 128 - 1
    made: NDArray[np.float32] = (np.sign(y) * np.expm1(np.abs(y) * np.log(256)) / 255).astype(
        np.float32
    )
    return made
