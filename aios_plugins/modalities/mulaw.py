"""Sounds as tokens, sample by sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from attrs import field, frozen, validators

from aios_core.contracts import (
    Codec,
    Corruption,
    Modality,
    NoiseScheduler,
    Objective,
    ProjectionHead,
    Shown,
    Sound,
    Vocabulary,
)
from aios_core.registry import part
from aios_plugins.modalities._files import check_all, recording, samples_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MU = 255.0


@frozen
class Levels(Codec):
    """Samples as one of 256 levels, finer near 0 (mu-law of ITU-T G.711, as a formula)."""

    rate: int
    samples: int
    cut: bool

    @property
    def space(self) -> Vocabulary:
        """The levels and a mask."""
        return Vocabulary(size=257, mask_id=256, pad_id=128, bos_id=128, eos_id=128)

    @property
    def grid(self) -> tuple[int, ...]:
        """A line."""
        return (self.samples,)

    def encode(self, item: Any) -> NDArray[np.int32]:
        """(L,) levels.

        Raises:
            DataError: it is no sound, of another rate, or too long.
        """
        x = samples_of(item, self.rate, self.samples, cut=self.cut).astype(np.float64).clip(-1, 1)
        y = np.sign(x) * np.log1p(_MU * np.abs(x)) / np.log1p(_MU)
        return np.asarray(np.floor((y + 1) / 2 * 256).clip(0, 255), np.int32)

    def known(self, item: Any) -> NDArray[np.bool_]:
        """Those of the samples."""
        self.encode(item)
        return np.arange(self.samples) < len(item.samples)

    def decode(self, state: NDArray[np.generic]) -> Sound:
        """The middle of each level."""
        y = (np.asarray(state).astype(np.float64).clip(0, 255) + 0.5) / 128 - 1
        x = np.sign(y) * np.expm1(np.abs(y) * np.log1p(_MU)) / _MU
        return Sound(x.astype(np.float32), self.rate)

    def show(self, item: Any) -> Shown:
        """A WAV."""
        return recording(item)


@frozen
class MuLaw(Modality):
    """Short sounds, each sample a token of 256 levels; masked diffusion of them."""

    codec: ClassVar = Levels

    name: str = field(default="audio", validator=validators.min_len(1))
    """Of the segments that are of it."""
    rate: int = field(default=8000, validator=[validators.ge(100), validators.le(10**6)])
    """Samples a second; a sound of another rate is refused."""
    samples: int = field(default=1024, validator=[validators.ge(1), validators.le(2**20)])
    """L; shorter sounds have silence behind them."""
    long: Literal["refuse", "cut"] = field(
        default="refuse", validator=validators.in_(("refuse", "cut"))
    )
    """What becomes of longer sounds."""
    weight: float = field(default=0.1, validator=[validators.gt(0), validators.le(1e6)])
    """Of its part of the loss."""
    head: ProjectionHead = part("head", "text")
    corruption: Corruption = part("corruption", "absorbing")
    noise: NoiseScheduler = part("noise", "loglinear")
    objective: Objective = part("objective", "nelbo")

    def example(self, number: int) -> Sound:
        """A tone."""
        t = np.arange(self.samples * 3 // 4) / self.rate
        tone = 0.5 * np.sin(2 * np.pi * self.rate / (9 + number % 7) * t)
        return Sound(tone.astype(np.float32), self.rate)

    def fit(self, items: Iterable[Any]) -> Levels:
        """Nothing is fitted; the sounds are looked at all the same.

        Raises:
            DataError: one is refused.
        """
        codec = Levels(self.rate, self.samples, self.long == "cut")
        check_all(codec, items, "sound")
        return codec
