"""Short texts: words and sentences of a fixed number of positions."""

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
    Vocabulary,
)
from aios_core.errors import DataError
from aios_core.registry import part

if TYPE_CHECKING:
    from numpy.typing import NDArray

Unit = Literal["character", "word"]


@frozen
class Spelled(Codec):
    """Texts by a list of symbols; behind a shorter one all positions are ends."""

    symbols: tuple[str, ...]
    """Characters or words; their places are their ids."""
    positions: int
    """L."""
    unit: Unit

    @property
    def space(self) -> Vocabulary:
        """The symbols, an end and a mask."""
        end = len(self.symbols)
        return Vocabulary(size=end + 2, mask_id=end + 1, pad_id=end, bos_id=end, eos_id=end)

    @property
    def grid(self) -> tuple[int, ...]:
        """A line."""
        return (self.positions,)

    def encode(self, item: Any) -> NDArray[np.int32]:
        """(L,) ids.

        Raises:
            DataError: it is no text, is too long, or has a symbol that no text to train on has.
        """
        if not isinstance(item, str):
            raise DataError(f"expected a text, got {type(item).__name__}")
        parts = cut(item, self.unit)
        if len(parts) > self.positions:
            raise DataError(
                f"{item[:40]!r} has {len(parts)} {self.unit}s; expected at most {self.positions}"
            )
        numbers = {symbol: number for number, symbol in enumerate(self.symbols)}
        if unknown := [symbol for symbol in parts if symbol not in numbers]:
            raise DataError(
                f"{item[:40]!r} has the {self.unit} {unknown[0][:40]!r}, which no text to train on "
                "has; expected one of theirs"
            )
        ids = np.full(self.positions, len(self.symbols), np.int32)
        ids[: len(parts)] = [numbers[symbol] for symbol in parts]
        return ids

    def known(self, item: Any) -> NDArray[np.bool_]:
        """Those of its symbols."""
        ids: NDArray[np.bool_] = self.encode(item) < len(self.symbols)
        return ids

    def decode(self, state: NDArray[np.generic]) -> str:
        """What stands before the first end."""
        ids = np.asarray(state).astype(np.int64).tolist()
        end = next((i for i, number in enumerate(ids) if number >= len(self.symbols)), len(ids))
        return ("" if self.unit == "character" else " ").join(
            self.symbols[number] for number in ids[:end]
        )

    def show(self, item: Any) -> Shown:
        """The text."""
        return Shown("text/plain", str(item).encode(errors="replace"))


def cut(text: str, unit: Unit) -> list[str]:
    """The symbols of a text."""
    return list(text) if unit == "character" else text.split()


@frozen
class Text(Modality):
    """Short texts, as names and captions, by their characters or words; masked diffusion.

    The symbols are those of the training split. Texts are cut at white space into words, which are
    written back with one space between them.
    """

    codec: ClassVar = Spelled

    name: str = field(default="text", validator=validators.min_len(1))
    """Of the segments that are of it."""
    unit: Unit = field(default="character", validator=validators.in_(("character", "word")))
    """What a position is."""
    length: int | None = field(
        default=None,
        validator=validators.optional([validators.ge(1), validators.le(2**16)]),
    )
    """L, positions; unset: those of the longest text to train on."""
    weight: float = field(default=0.1, validator=[validators.gt(0), validators.le(1e6)])
    """Of its part of the loss: small beside that of pictures and sound, which it drowns (their
    quality falls by an order of magnitude between 0.1 and 10)."""
    head: ProjectionHead = part("head", "text")
    corruption: Corruption = part("corruption", "absorbing")
    noise: NoiseScheduler = part("noise", "loglinear")
    objective: Objective = part("objective", "nelbo")

    def example(self, number: int) -> str:
        """One of three words, or more of them."""
        return ("one", "three", "seven")[number % 3]

    def fit(self, items: Iterable[Any]) -> Spelled:
        """The symbols of some texts.

        Raises:
            DataError: there is none, or they are longer than `length`.
        """
        symbols, longest = set[str](), 0
        for item in items:
            if not isinstance(item, str):
                raise DataError(f"expected a text, got {type(item).__name__}")
            parts = cut(item, self.unit)
            symbols.update(parts)
            longest = max(longest, len(parts))
        if not symbols:
            raise DataError("no text to fit a codec to; expected at least one that is not empty")
        if self.length is not None and longest > self.length:
            raise DataError(
                f"the longest text has {longest} {self.unit}s; expected at most length = "
                f"{self.length}"
            )
        return Spelled(tuple(sorted(symbols)), self.length or longest, self.unit)
