"""Items of modalities as files: read for a command, and written by it."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aios_core.contracts import Sound
from aios_core.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.contracts import Codec, Shown

SUFFIXES: Final = {"text/plain": ".txt", "image/png": ".png", "audio/wav": ".wav"}
"""Of files by their media type."""

_MOST_PIXELS: Final = 1 << 26
_MOST_BYTES: Final = 1 << 28


def read(path: Path, like: Codec) -> Any:
    """An item for a codec from a file: a picture, a WAV, or a text, by what the codec shows.

    Raises:
        DataError: it cannot be read, or is too large.
        MissingExtraError: pictures need Pillow.
    """
    kind = media_type(like)
    try:
        if kind == "audio/wav":
            return _sound(path)
        if kind == "image/png":
            return picture(path, channels=getattr(like, "channels", 1))
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except OSError as error:
        reason = error.strerror or "is no file of its kind"
        raise DataError(f"{path}: cannot be read: {reason}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8") from error


def media_type(codec: Codec) -> str:
    """What a codec shows: the media type of what it makes of a state of zeros."""
    channels = getattr(codec.space, "channels", None)
    shape = (codec.length,) if channels is None else (codec.length, channels)
    zeros = np.zeros(shape, np.int32 if channels is None else np.float32)
    return codec.show(codec.decode(zeros)).media_type


def picture(path: Path, *, channels: int) -> NDArray[np.uint8]:
    """(H, W, C) pixels of a picture in any format of Pillow, as it is.

    Raises:
        DataError: it is no picture, or one of another mode.
        MissingExtraError: Pillow is not installed.
        OSError: the file cannot be opened.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingExtraError("reading pictures", "image", "PIL") from None
    mode = "L" if channels == 1 else "RGB"
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > _MOST_PIXELS:
                raise DataError(
                    f"{path}: has {width} x {height} pixels; expected at most {_MOST_PIXELS}"
                )
            if image.mode != mode:
                raise DataError(
                    f"{path}: is a picture of mode {image.mode}; expected {mode}, as the network "
                    "was trained on"
                )
            return np.asarray(image).reshape(height, width, channels)
    except (UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: is no picture: {error!s:.100}") from error


def _sound(path: Path) -> Sound:
    """The samples of a WAV of one channel and 16 bits."""
    if path.stat().st_size > _MOST_BYTES:
        raise DataError(f"{path}: is larger than {_MOST_BYTES} bytes")
    try:
        with wave.open(io.BytesIO(path.read_bytes())) as file:
            channels, width = file.getnchannels(), file.getsampwidth()
            if (channels, width) != (1, 2):
                raise DataError(
                    f"{path}: has {channels} channels of {8 * width} bits; expected one channel of "
                    "16 bits"
                )
            data = file.readframes(file.getnframes())
            samples = np.frombuffer(data[: len(data) // 2 * 2], "<i2") / np.float32(32768)
            return Sound(samples.astype(np.float32), file.getframerate())
    except (wave.Error, EOFError) as error:
        raise DataError(f"{path}: is no WAV: {error!s:.100}") from error


def write(folder: Path, name: str, number: int, shown: Shown) -> Path:
    """Write an item as ``NAME-NUMBER`` with the suffix of its kind, and say where."""
    path = folder / f"{name}-{number}{SUFFIXES[shown.media_type]}"
    path.write_bytes(shown.data)
    return path
