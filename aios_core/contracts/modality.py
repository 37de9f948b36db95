"""Modalities: kinds of data that a row may hold, and what is done with each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from attrs import frozen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aios_core.contracts.corruption import Corruption
    from aios_core.contracts.head import ProjectionHead
    from aios_core.contracts.noise import NoiseScheduler
    from aios_core.contracts.objective import Objective
    from aios_core.contracts.space import Space


@frozen
class Shown:
    """What a person sees or hears of an item."""

    media_type: Literal["text/plain", "image/png", "audio/wav"]
    data: bytes
    """A file of that type; UTF-8 of a text."""


class Codec(ABC):
    """Items of one kind to the states of a network and back; fitted, and kept with the weights."""

    @property
    @abstractmethod
    def space(self) -> Space:
        """What a position is."""

    @property
    @abstractmethod
    def grid(self) -> tuple[int, ...]:
        """Positions along each axis, as (6,) of a word, or (7, 7) of a picture in patches."""

    @property
    def length(self) -> int:
        """L, positions of an item."""
        return prod(self.grid)

    @abstractmethod
    def encode(self, item: Any) -> NDArray[np.generic]:
        """An item as (L,) int32 tokens, or (L, C) float32 numbers of about unit variance.

        Raises:
            DataError: it is no such item; the message says what is expected.
        """

    @abstractmethod
    def decode(self, state: NDArray[np.generic]) -> Any:
        """The item of a clean state, as near to what was encoded as the codec promises."""

    @abstractmethod
    def show(self, item: Any) -> Shown:
        """An item as a file that a browser shows or plays."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what it was fitted to into a folder that is there."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote.

        Raises:
            AIOSError: it is missing, damaged, or of another codec.
        """


class Modality(ABC):
    """One kind of data: what its positions are, how they are destroyed, predicted and judged.

    Its components are fields, as ``head: ProjectionHead = field(factory=Linear)``, so that a
    configuration may set each of them.
    """

    head: ProjectionHead
    corruption: Corruption
    noise: NoiseScheduler
    objective: Objective
    weight: float
    """Of its part of the loss. A part is a mean over positions, and over the numbers of each."""

    @abstractmethod
    def fit(self, items: Iterable[Any]) -> Codec:
        """A codec for items of the training split, as a tokenizer is trained.

        Raises:
            DataError: they are no such items.
        """
