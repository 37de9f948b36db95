"""Texts as pictures by fonts and as speech by a synthesizer, for experiments of any size."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import Attribute, field, frozen, validators

from aios_core.contracts import Dataset, Row, Segment, Split
from aios_core.errors import DataError, MissingExtraError
from aios_plugins.datasets._speech import Program, check_voices, spoken

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FONTS: Final = (".ttf", ".otf", ".ttc")
_SMALLEST: Final = 5
"""Pixels of letters that can still be read."""
_LARGEST: Final = 1024
_NO_LETTER: Final = "\U0010fffe"
"""No font has it: it is drawn as whatever a font has not."""

_side: Any = [validators.ge(8), validators.le(_LARGEST)]
_paths: Any = validators.or_(validators.instance_of(Path), validators.min_len(1))


@frozen
class Rendered(Dataset):
    """Texts, pictures of them in fonts, and speech, all made here; the same for the same seed.

    A picture is white on black, its lines broken between words, in a font, size and place that
    are drawn for each row; a font that lacks a letter of a text is not drawn for it. Speech has a
    voice and a speed that are drawn likewise. Of ``words`` every one is in both splits, but a tenth
    of the fonts and of the voices, at least one, is held out; of ``source`` the texts of its own
    validation split are, in all fonts and voices. Segments are named ``text``, ``image`` and
    ``audio``. Pictures need the extra ``image``, speech the extra ``sound``. Rows depend on the
    fonts and the synthesizer of this machine, and on their versions.
    """

    words: tuple[str, ...] | None = field(default=None, metadata={"needs": "words or source"})
    """What is written and said; this or ``source``."""
    source: Dataset | None = field(default=None)
    """A data set whose texts are: a table with its ``type``."""
    fonts: Path | tuple[Path, ...] | None = field(
        default=None, validator=validators.optional(_paths)
    )
    """Files of fonts, or folders of them with all that is in them, relative to the folder of the
    configuration; unset: there are no pictures."""
    size: tuple[int, int] = field(default=(28, 28), validator=validators.deep_iterable(_side))
    """Height and width of a picture."""
    speech: Program | None = field(default=None)
    """The program that speaks; unset: there is no speech."""
    voices: tuple[str, ...] = field(
        default=(),
        validator=validators.deep_iterable(validators.matches_re(r"\w[\w-]*(\+\w[\w-]*)?")),
    )
    """Of the program, as ``slt`` of flite or ``en-us+f3`` of espeak-ng; goes with ``speech``."""
    rate: int = field(default=8000, validator=[validators.ge(1000), validators.le(192_000)])
    """Samples a second of speech."""
    repeats: int = field(default=1, validator=[validators.ge(1), validators.le(10**6)])
    """Rows of each text to train on; of ``words`` a tenth of that, at least one, is held out."""
    seed: int = field(default=0, validator=[validators.ge(0), validators.le(2**32 - 1)])
    """Decides what is drawn, and which fonts and voices are held out."""

    @source.validator
    def _either(self, attribute: Attribute[Any], value: Dataset | None) -> None:
        if (value is None) == (self.words is None):
            raise ValueError("expected words, or a source of texts, one of the two")

    @words.validator
    def _each_once(self, attribute: Attribute[Any], value: tuple[str, ...] | None) -> None:
        if value is not None and (not value or len(set(value)) < len(value)):
            raise ValueError(f"words: expected some, each once, got {list(value)}")

    @speech.validator
    def _something(self, attribute: Attribute[Any], value: str | None) -> None:
        if value is None and self.fonts is None:
            raise ValueError("expected fonts, or a program that speaks, or both")

    @voices.validator
    def _with_speech(self, attribute: Attribute[Any], value: tuple[str, ...]) -> None:
        if bool(value) != (self.speech is not None):
            raise ValueError(
                f"voices and speech go together, got {list(value)} and {self.speech!r}"
            )
        if len(set(value)) < len(value):
            raise ValueError(f"voices: expected each once, got {list(value)}")

    def rows(self, split: Split) -> Iterator[Row]:
        """Texts with pictures and speech.

        Raises:
            DataError: there is no such font, program or voice, or too few to hold some out; or a
                text is blank, too long for a picture, or has letters that no font has.
            MissingExtraError: an extra is not installed.
        """
        fonts = self._own(_files(self.fonts), split, "fonts")
        voices = self._own(self.voices, split, "voices")
        if self.speech is not None:
            check_voices(self.speech, self.voices)
        number = 0
        for _ in range(self._repeats(split)):
            for text in self.words or () if self.source is None else self.source.texts(split):
                random = np.random.default_rng([self.seed, split == "train", number])
                yield self._row(text, fonts, voices, random, f"rendered, {split} row {number + 1}")
                number += 1

    def _repeats(self, split: Split) -> int:
        if split == "train":
            return self.repeats
        return 1 if self.words is None else max(1, self.repeats // 10)

    def _own(self, every: tuple[Any, ...], split: Split, what: str) -> tuple[Any, ...]:
        """The fonts or voices of a split."""
        if self.words is None or not every:
            return every
        if len(every) < 2:
            raise DataError(
                f"rendered: expected two {what} at least, one of them to hold out, got {len(every)}"
            )
        count = max(1, len(every) // 10)
        order = np.random.default_rng(self.seed).permutation(len(every))
        own = sorted(order[:count] if split != "train" else order[count:])
        return tuple(every[place] for place in own)

    def _row(
        self,
        text: str,
        fonts: tuple[Path, ...],
        voices: tuple[str, ...],
        random: np.random.Generator,
        where: str,
    ) -> Row:
        if not text.strip():
            raise DataError(f"{where}: the text is blank; expected something to write or say")
        segments = [Segment("text", text, modality="text")]
        try:
            if fonts:
                font = _able(fonts, text, random)
                pixels = _drawn(text, font, self.size, random)
                segments.append(Segment("image", pixels, modality="image"))
            if self.speech is not None:
                voice = voices[random.integers(len(voices))]
                speed = float(np.exp(random.uniform(-0.2, 0.2)))
                said = spoken(self.speech, voice, text, speed, self.rate)
                segments.append(Segment("audio", said, modality="audio"))
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
        return Row(tuple(segments), where=where)


def _files(paths: Path | tuple[Path, ...] | None) -> tuple[Path, ...]:
    """Every font, in the order of the paths; those of a folder sorted.

    Raises:
        DataError: there is none.
    """
    files: list[Path] = []
    for path in (paths,) if isinstance(paths, Path) else paths or ():
        every = [path] if path.is_file() else sorted(path.rglob("*"))
        own = [file for file in every if file.is_file() and file.suffix.lower() in _FONTS]
        if not own:
            raise DataError(f"{path}: no font; expected {', '.join(_FONTS)}, or a folder of them")
        files += own
    return tuple(dict.fromkeys(files))


@lru_cache(maxsize=1024)
def _font(path: Path, pixels: int) -> Any:
    try:
        from PIL import ImageFont
    except ImportError:
        raise MissingExtraError("rendering texts", "image", "PIL") from None
    try:  # the simple layout is the same whatever other libraries there are
        return ImageFont.truetype(path, pixels, layout_engine=ImageFont.Layout.BASIC)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is no font that can be read: {error!s:.100}") from error


@lru_cache(maxsize=1 << 16)
def _has(path: Path, letter: str) -> bool:
    font = _font(path, 32)
    own, none = font.getmask(letter), font.getmask(_NO_LETTER)
    return own.size != none.size or bytes(own) != bytes(none)


def _lacking(path: Path, text: str) -> str:
    """Letters of a text that a font has not."""
    return "".join(sorted({c for c in text if not c.isspace() and not _has(path, c)}))


def _able(fonts: tuple[Path, ...], text: str, random: np.random.Generator) -> Path:
    """A font that has all letters of a text.

    Raises:
        DataError: there is none.
    """
    able = [font for font in fonts if not _lacking(font, text)]
    if not able:
        lacking = _lacking(fonts[0], text)
        raise DataError(f"no font has all letters; {fonts[0].name} lacks {lacking!r}")
    return able[random.integers(len(able))]


def _drawn(
    text: str, path: Path, size: tuple[int, int], random: np.random.Generator
) -> NDArray[np.uint8]:
    """(H, W, 1) pixels: 70 to 100 % of the largest size of letters that fits.

    Raises:
        DataError: none does.
    """
    from PIL import Image, ImageDraw

    height, width = size
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    low, high = _SMALLEST - 1, 2 * height  # letters may be smaller than their line
    while low < high:  # the largest that fits lies in [low, high]
        pixels = (low + high + 1) // 2
        if _block(draw, text, _font(path, pixels), size) is None:
            high = pixels - 1
        else:
            low = pixels
    if low < _SMALLEST:
        raise DataError(
            f"{text!r:.80} does not fit into {height} x {width} pixels in {path.name}; expected a "
            "larger size, or shorter texts"
        )
    font = _font(path, max(_SMALLEST, round(low * random.uniform(0.7, 1))))
    block = _block(draw, text, font, size)
    if block is None:  # rounded hints of a font: a smaller size is wider, once in a while
        font = _font(path, low)
        block = _block(draw, text, font, size)
    assert block is not None
    lines, (left, top, right, bottom) = block
    x = int(random.integers(width - (right - left) + 1)) - left
    y = int(random.integers(height - (bottom - top) + 1)) - top
    draw.multiline_text((x, y), lines, fill=255, font=font, spacing=0)
    return np.array(image, np.uint8)[..., None]


def _block(
    draw: Any, text: str, font: Any, size: tuple[int, int]
) -> tuple[str, tuple[int, int, int, int]] | None:
    """A text in lines and the box around its letters; None: it does not fit."""
    height, width = size
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    whole = "\n".join(lines)
    box = draw.multiline_textbbox((0, 0), whole, font=font, spacing=0)
    left, top = int(np.floor(box[0])), int(np.floor(box[1]))
    right, bottom = int(np.ceil(box[2])), int(np.ceil(box[3]))
    if right - left > width or bottom - top > height:
        return None
    return whole, (left, top, right, bottom)
