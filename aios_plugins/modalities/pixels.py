"""Pictures in patches of pixels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

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
)
from aios_core.errors import DataError
from aios_core.registry import part
from aios_plugins.modalities._files import picture, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray


@frozen
class Patches(Codec):
    """A picture as patches, row by row; 8-bit values come back as they were."""

    height: int
    width: int
    channels: int
    patch: int
    mean: float
    """Of all pixels that it was fitted to, in [0, 255]."""
    deviation: float
    """Standard deviation of the same."""

    @property
    def space(self) -> Continuous:
        """The pixels of a patch."""
        return Continuous(self.patch * self.patch * self.channels)

    @property
    def grid(self) -> tuple[int, ...]:
        """Patches down and across."""
        return self.height // self.patch, self.width // self.patch

    def encode(self, item: Any) -> NDArray[np.float32]:
        """(L, C) numbers.

        Raises:
            DataError: it is no picture, or one of another size.
        """
        pixels = checked(item)
        if pixels.shape != (expected := (self.height, self.width, self.channels)):
            raise DataError(f"is a picture of {_size(pixels.shape)}; expected {_size(expected)}")
        down, across = self.grid
        parts = pixels.reshape(down, self.patch, across, self.patch, self.channels)
        flat = parts.transpose(0, 2, 1, 3, 4).reshape(down * across, -1)
        return ((flat - self.mean) / self.deviation).astype(np.float32)

    def decode(self, state: NDArray[np.generic]) -> NDArray[np.uint8]:
        """(H, W, C) pixels, the nearest of 8 bits."""
        down, across = self.grid
        values = np.nan_to_num(np.asarray(state, np.float64)) * self.deviation + self.mean
        parts = values.reshape(down, across, self.patch, self.patch, self.channels)
        whole = parts.transpose(0, 2, 1, 3, 4).reshape(self.height, self.width, self.channels)
        made: NDArray[np.uint8] = whole.round().clip(0, 255).astype(np.uint8)
        return made

    def show(self, item: Any) -> Shown:
        """A PNG."""
        return picture(item)


def checked(item: Any) -> NDArray[np.uint8]:
    """A picture as (H, W, C).

    Raises:
        DataError: it is none.
    """
    if not isinstance(item, np.ndarray) or item.dtype != np.uint8:
        got = f"{item.dtype} of shape {item.shape}" if isinstance(item, np.ndarray) else ""
        raise DataError(f"expected a picture, uint8 (H, W, C), got {got or type(item).__name__}")
    pixels = item[..., None] if item.ndim == 2 else item
    if pixels.ndim != 3 or pixels.shape[2] not in {1, 3} or not pixels.size:
        raise DataError(
            f"expected a picture of 1 or 3 channels, uint8 (H, W, C), got shape {item.shape}"
        )
    return pixels


def _size(shape: tuple[int, ...]) -> str:
    height, width, channels = shape
    return f"{height} x {width} with {channels} channel{'s' if channels > 1 else ''}"


@frozen
class Pixels(Modality):
    """Pictures of one size, grey or in colour, in square patches; Gaussian diffusion of pixels.

    Large patches lose nothing: a head says what is clean, which a few numbers describe, and not the
    noise (arXiv 2511.13720).
    """

    codec: ClassVar = Patches

    name: str = field(default="image", validator=validators.min_len(1))
    """Of the segments that are of it."""
    size: tuple[int, int] = (28, 28)
    """Height and width in pixels."""
    channels: int = field(default=1, validator=validators.in_((1, 3)))
    """1: grey; 3: colour."""
    patch: int = field(default=4, validator=[validators.ge(1), validators.le(256)])
    """Pixels along a side of a patch; it divides both sizes."""
    weight: float = field(default=1.0, validator=[validators.gt(0), validators.le(1e6)])
    """Of its part of the loss."""
    head: ProjectionHead = part("head", "patches")
    corruption: Corruption = part("corruption", "gaussian")
    noise: NoiseScheduler = part("noise", "flow")
    objective: Objective = part("objective", "squared-error")

    @patch.validator
    def _divides(self, attribute: Attribute[int], value: int) -> None:
        if any(not 1 <= side <= 2**14 or side % value for side in self.size):
            raise ValueError(f"expected a divisor of size = {list(self.size)}, got {value}")

    def example(self, number: int) -> NDArray[np.uint8]:
        """Noise."""
        shape = (*self.size, self.channels)
        return np.random.default_rng(number).integers(0, 256, shape, np.uint8)

    def fit(self, items: Iterable[Any]) -> Patches:
        """Mean and deviation of all pixels.

        Raises:
            DataError: there is no picture, or one of another size.
        """
        plain = Patches(*self.size, self.channels, self.patch, 0.0, 1.0)
        # Integers are exact in any order, whatever the number of pictures.
        number, total, squares = 0, 0, 0
        for item in items:
            plain.encode(item)
            values = checked(item).astype(np.int64)
            number, total = number + values.size, total + int(values.sum())
            squares += int((values * values).sum())
        if not number:
            spread([], "picture")
        mean = total / number
        deviation = max(squares / number - mean * mean, 1.0) ** 0.5
        return Patches(*self.size, self.channels, self.patch, mean, deviation)
