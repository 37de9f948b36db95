"""Pictures and sounds in files that nobody has looked at."""

from __future__ import annotations

import io
import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from aios_core.contracts import Sound
from aios_core.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Mode: TypeAlias = Literal["L", "RGB"]

MOST_BYTES: Final = 1 << 28
"""Of a file."""
MOST_PIXELS: Final = 1 << 26
MOST_SAMPLES: Final = 1 << 26

_FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Of pictures: those that Pillow reads by itself; others start programs, or are rarely meant."""
_CONVERTIBLE: Final = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Modes of 8 bits; Pillow cuts off what is above 255 in those of more."""
_ENDLESS: Final = (0, 2**32 - 1)
"""What a WAV that was written into a pipe says of its size."""


def content(path: Path, where: str) -> bytes:
    """All bytes of a file.

    Raises:
        DataError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST_BYTES:
                raise DataError(f"{where}: is larger than {MOST_BYTES} bytes")
            return file.read(size)
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error.strerror}") from error


def picture(
    data: bytes, where: str, mode: Mode | None, size: tuple[int, int] | None
) -> NDArray[np.uint8]:
    """(H, W, C) pixels of a picture, turned as its camera says.

    Args:
        data: a file of it.
        where: it is from, for messages.
        mode: what it is converted to, over white where it is transparent; None: as it is.
        size: height and width that its middle is brought to; None: as it is.

    Raises:
        DataError: it is no picture, is damaged, too large, or of another mode.
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise MissingExtraError("reading pictures", "image", "PIL") from None
    with _decoding(where, "picture"), Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
        _look_at(opened, where, mode)
        image: Any = ImageOps.exif_transpose(opened)
        if mode is not None:
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert(mode)
        if size is not None:
            image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.BICUBIC)
        pixels = np.array(image, np.uint8)
    return pixels.reshape(*pixels.shape[:2], -1)


def _look_at(image: Any, where: str, mode: Mode | None) -> None:
    """Refuse a picture by what its file says of it, before it is decoded."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise DataError(f"{where}: has {width} x {height} pixels; expected at most {MOST_PIXELS}")
    # Phones put a small second picture behind a JPEG, which is no film then.
    if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
        raise DataError(f"{where}: holds {frames} pictures; expected one")
    if image.mode not in (_CONVERTIBLE if mode else ("L", "RGB")):
        other = "8 bits a channel" if mode else "L or RGB; dataset.mode converts others"
        raise DataError(f"{where}: is a picture of mode {image.mode}; expected {other}")


def sound(data: bytes, where: str, rate: int | None, *, mono: bool) -> Sound:
    """A sound of one channel.

    Args:
        data: a file of it.
        where: it is from, for messages.
        rate: samples a second that it is converted to; None: as it is.
        mono: whether several channels are averaged.

    Raises:
        DataError: it is no sound, is damaged, too long, or has several channels or numbers that
            are none in [-1, 1].
        MissingExtraError: soundfile is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: its library is not there
        raise MissingExtraError("reading sounds", "sound", "soundfile") from None
    if data[:4] == b"RIFF" and len(data) >= 8:
        (size,) = struct.unpack_from("<I", data, 4)
        if size not in _ENDLESS and size + 8 > len(data):
            raise DataError(f"{where}: ends after {len(data)} of {size + 8} bytes")
    with _decoding(where, "sound"), soundfile.SoundFile(io.BytesIO(data)) as file:
        own, channels = int(file.samplerate), int(file.channels)
        if file.frames * channels > MOST_SAMPLES:
            raise DataError(
                f"{where}: has {file.frames} samples of {channels} channels; expected at most "
                f"{MOST_SAMPLES} together"
            )
        if channels > 1 and not mono:
            raise DataError(
                f"{where}: has {channels} channels; expected one, or dataset.mono = true, which "
                "averages them"
            )
        exact = file.subtype in ("FLOAT", "DOUBLE")
        samples = file.read(dtype="float32", always_2d=True).mean(1, dtype=np.float64)
    _check_samples(samples, where, exact=exact)
    if rate is not None and rate != own:
        samples = resampled(samples, own, rate, where)
        own = rate
    try:
        return Sound(samples.clip(-1, 1).astype(np.float32), own)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error


def _check_samples(samples: NDArray[np.float64], where: str, *, exact: bool) -> None:
    if not len(samples):
        raise DataError(f"{where}: holds no sound; expected at least one sample")
    peak = float(np.abs(samples).max())
    if not math.isfinite(peak):
        raise DataError(f"{where}: holds samples that are no finite numbers")
    if exact and peak > 1:  # others can be above it by the rounding of their codec alone
        raise DataError(f"{where}: holds samples up to {peak:.4g}; expected none outside [-1, 1]")


@contextmanager
def _decoding(where: str, what: str) -> Iterator[None]:
    """Decoders raise whatever they meet in a damaged file."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{where}: is no {what} that can be read: {error!s:.100}") from error


def resampled(samples: NDArray[np.float64], rate: int, to: int, where: str) -> NDArray[np.float64]:
    """Samples at another rate, by a polyphase filter, (N,) to (N * to / rate,) rounded up.

    Raises:
        DataError: they would be too many.
    """
    from scipy.signal import resample_poly

    common = math.gcd(rate, to)
    up, down = to // common, rate // common
    if len(samples) * up > MOST_SAMPLES * down:
        raise DataError(
            f"{where}: has {len(samples)} samples at {rate} a second; expected at most "
            f"{MOST_SAMPLES} at {to}"
        )
    made: NDArray[np.float64] = resample_poly(samples, up, down)
    return made
