"""Sounds as frames of log-mel energies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from attrs import Attribute, field, frozen, validators

from aios_core.contracts import (
    Codec,
    Continuous,
    Corruption,
    Modality,
    NoiseScheduler,
    Objective,
    ProjectionHead,
    Shown,
    Sound,
)
from aios_core.registry import part
from aios_plugins.modalities._files import recording, samples_of, spread
from aios_plugins.modalities._mel import log_mel, sound_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@frozen
class Frames(Codec):
    """A sound as log-mel frames; what comes back sounds like it, with other phases."""

    rate: int
    frames: int
    bands: int
    window: int
    hop: int
    group: int
    cut: bool
    mean: float
    """Of all log-mels that it was fitted to."""
    deviation: float
    """Standard deviation of the same."""

    @property
    def space(self) -> Continuous:
        """The bands of the frames of a position."""
        return Continuous(self.bands * self.group)

    @property
    def grid(self) -> tuple[int, ...]:
        """A line: sound goes on as text does."""
        return (self.frames // self.group,)

    def logs(self, item: Any) -> NDArray[np.float64]:
        """(frames, bands) log-mels of a sound.

        Raises:
            DataError: it is no sound, of another rate, or too long.
        """
        samples = samples_of(item, self.rate, self.frames * self.hop, cut=self.cut)
        return log_mel(samples, self.rate, self.window, self.hop, self.bands)

    def encode(self, item: Any) -> NDArray[np.float32]:
        """(L, C) numbers; see `logs`."""
        made = ((self.logs(item) - self.mean) / self.deviation).astype(np.float32)
        return made.reshape(self.length, -1)

    def known(self, item: Any) -> NDArray[np.bool_]:
        """Positions whose frames lie in the sound with their whole windows."""
        self.logs(item)
        last = (len(item.samples) - self.window // 2) // self.hop
        return (np.arange(self.length) + 1) * self.group <= last

    def decode(self, state: NDArray[np.generic]) -> Sound:
        """A sound with these energies, by the method of Griffin and Lim."""
        logs = np.nan_to_num(np.asarray(state, np.float64)) * self.deviation + self.mean
        samples = sound_of(logs.reshape(self.frames, -1), self.rate, self.window, self.hop)
        return Sound(samples.clip(-1, 1).astype(np.float32), self.rate)

    def show(self, item: Any) -> Shown:
        """A WAV."""
        return recording(item)


@frozen
class Mel(Modality):
    """Sounds of at most one length, as frames of log-mel energies; Gaussian diffusion of them."""

    codec: ClassVar = Frames

    name: str = field(default="audio", validator=validators.min_len(1))
    """Of the segments that are of it."""
    rate: int = field(default=8000, validator=[validators.ge(100), validators.le(10**6)])
    """Samples a second; a sound of another rate is refused."""
    frames: int = field(default=32, validator=[validators.ge(1), validators.le(2**16)])
    """Of a sound; shorter ones have silence behind them."""
    bands: int = field(default=32, validator=[validators.ge(1), validators.le(1024)])
    """Energies of a frame."""
    window: int = field(default=256, validator=[validators.ge(4), validators.le(2**16)])
    """Samples that a frame looks at."""
    hop: int = field(default=128, validator=[validators.ge(1), validators.le(2**16)])
    """Samples between two frames."""
    group: int = field(default=1, validator=[validators.ge(1), validators.le(2**16)])
    """Frames of a position; it divides their number."""
    long: Literal["refuse", "cut"] = field(
        default="refuse", validator=validators.in_(("refuse", "cut"))
    )
    """What becomes of sounds that are longer than all frames together."""
    weight: float = field(default=1.0, validator=[validators.gt(0), validators.le(1e6)])
    """Of its part of the loss."""
    head: ProjectionHead = part("head", "linear")
    corruption: Corruption = part("corruption", "gaussian")
    noise: NoiseScheduler = part("noise", "flow")
    objective: Objective = part("objective", "squared-error")

    @hop.validator
    def _overlap(self, attribute: Attribute[int], value: int) -> None:
        if value > self.window // 2:
            raise ValueError(f"expected at most half of window = {self.window}, got {value}")

    @group.validator
    def _divides(self, attribute: Attribute[int], value: int) -> None:
        if self.frames % value:
            raise ValueError(f"expected a divisor of frames = {self.frames}, got {value}")

    def example(self, number: int) -> Sound:
        """A tone that fades into noise."""
        t = np.arange(self.frames * self.hop) / self.rate
        tone = 0.1 * np.sin(2 * np.pi * self.rate / (9 + number % 7) * t) * np.exp(-3 * t)
        tone += 0.05 * np.random.default_rng(number).normal(size=len(t))
        return Sound(tone.astype(np.float32), self.rate)

    def fit(self, items: Iterable[Any]) -> Frames:
        """Mean and deviation of all log-mels.

        Raises:
            DataError: there is no sound, or one that is refused.
        """
        sizes = self.rate, self.frames, self.bands, self.window, self.hop, self.group
        plain = Frames(*sizes, self.long == "cut", 0.0, 1.0)
        mean, deviation = spread([plain.logs(item).astype(np.float32) for item in items], "sound")
        return Frames(*sizes, self.long == "cut", mean, deviation)
