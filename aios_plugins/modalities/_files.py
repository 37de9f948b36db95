"""Pictures and sounds as files, and checks of items that several modalities make."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from aios_core.contracts import Shown, Sound
from aios_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from aios_core.contracts import Codec


def picture(pixels: NDArray[np.uint8]) -> Shown:
    """A PNG of (H, W, C) pixels; C is 1 for grey, 3 for colour."""
    height, width, channels = pixels.shape
    lines = np.concatenate(
        (np.zeros((height, 1), np.uint8), pixels.reshape(height, width * channels)), 1
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return Shown("image/png", b"\x89PNG\r\n\x1a\n" + body)


def recording(sound: Sound) -> Shown:
    """A WAV of 16 bits a sample."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes((sound.samples.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
    return Shown("audio/wav", buffer.getvalue())


def samples_of(item: Any, rate: int, length: int, *, cut: bool) -> NDArray[np.float32]:
    """(length,) samples of a sound: silence behind a shorter one, the beginning of a longer one.

    Raises:
        DataError: it is no sound, of another rate, or too long where nothing may be cut.
    """
    if not isinstance(item, Sound):
        raise DataError(f"expected a sound, got {type(item).__name__}")
    if item.rate != rate:
        raise DataError(f"has {item.rate} samples a second; expected {rate}")
    if len(item.samples) > length and not cut:
        raise DataError(
            f"is {len(item.samples) / rate:.3g} s long; expected at most {length / rate:.3g} s, or "
            'long = "cut", which keeps the beginning'
        )
    made = np.zeros(length, np.float32)
    kept = item.samples[:length]
    if not np.isfinite(kept).all():
        raise DataError("holds samples that are no finite numbers")
    made[: len(kept)] = kept
    return made


def spread(parts: list[NDArray[Any]], what: str) -> tuple[float, float]:
    """Mean and standard deviation of all numbers, at least 1e-6.

    Raises:
        DataError: there are none.
    """
    if not parts:
        raise DataError(f"no {what} to fit a codec to; expected at least one")
    whole = np.concatenate([part.reshape(-1) for part in parts]).astype(np.float64)
    return float(whole.mean()), max(float(whole.std()), 1e-6)


def check_all(codec: Codec, items: Iterable[Any], what: str) -> None:
    """Look at items that nothing is fitted to.

    Raises:
        DataError: one is refused, or there is none.
    """
    if not [codec.encode(item) for item in items]:
        raise DataError(f"no {what} to fit a codec to; expected at least one")
