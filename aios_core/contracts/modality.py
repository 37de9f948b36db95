"""Modalities: kinds of data that a row may hold, and what is done with each."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self

import attrs
from attrs import field, frozen, validators

from aios_core.contracts.corruption import Corruption
from aios_core.contracts.head import ProjectionHead
from aios_core.contracts.noise import NoiseScheduler
from aios_core.contracts.objective import Objective
from aios_core.errors import ModelLoadError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aios_core.contracts.space import Space


FILE: Final = "codec.json"
"""What a codec writes into its folder."""

_MOST: Final = 1 << 24
"""Bytes of such a file."""


def _samples(_sound: Sound, _attribute: object, value: NDArray[np.float32]) -> None:
    if value.ndim != 1 or value.dtype != "float32":
        raise ValueError(f"expected float32 samples (N,), got {value.dtype} {value.shape}")


@frozen(eq=False)
class Sound:
    """A sound of one channel."""

    samples: NDArray[np.float32] = field(validator=_samples)
    """(N,) float32 in [-1, 1]."""
    rate: int = field(validator=[validators.ge(1), validators.le(10**6)])
    """Samples a second."""

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sound)
            and self.rate == other.rate
            and self.samples.tobytes() == other.samples.tobytes()
        )

    def __hash__(self) -> int:
        return hash((self.rate, self.samples.tobytes()))


@frozen
class Shown:
    """What a person sees or hears of an item."""

    media_type: Literal["text/plain", "image/png", "audio/wav"]
    data: bytes
    """A file of that type; UTF-8 of a text."""


class Codec(ABC):
    """Items of one kind to the states of a network and back; fitted, and kept with the weights.

    It is a frozen attrs class whose fields are plain: numbers, texts, and tuples of them. So it is
    kept as JSON, and two with equal fields encode alike; who has more to keep overrides `save`,
    `load` and `fingerprint`.
    """

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

    def known(self, item: Any) -> NDArray[np.bool_]:
        """(L,) bool: positions that an item fills, where it is to be continued; all of them here.

        Raises:
            DataError: as for `encode`.
        """
        import numpy as np

        return np.ones(self.length, np.bool_)

    @abstractmethod
    def decode(self, state: NDArray[np.generic]) -> Any:
        """The item of a clean state, as near to what was encoded as the codec promises."""

    @abstractmethod
    def show(self, item: Any) -> Shown:
        """An item as a file that a browser shows or plays."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of all that decides states: equal fingerprints give equal states."""
        return hashlib.sha256(self._document()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write what it was fitted to into a folder that is there."""
        (folder / FILE).write_bytes(self._document())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote.

        Raises:
            ModelLoadError: it is missing, damaged, or of another codec.
        """
        path = folder / FILE
        try:
            with path.open("rb") as file:
                data = json.loads(file.read(_MOST))
            if not isinstance(data, dict) or data.pop("codec", None) != cls.__name__:
                raise ModelLoadError(f"{path}: is of another codec; expected {cls.__name__}")
            return cls(**{name: _tuples(value) for name, value in data.items()})
        except OSError as error:
            raise ModelLoadError(f"{path}: cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise ModelLoadError(f"{path}: is damaged: {error!s:.200}") from error

    def _document(self) -> bytes:
        made: Any = self
        own = {"codec": type(self).__name__, **attrs.asdict(made)}
        return json.dumps(own, ensure_ascii=False, sort_keys=True).encode()


def _tuples(value: Any) -> Any:
    """Arrays of JSON as fields have them."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


class Modality(ABC):
    """One kind of data: what its positions are, how they are destroyed, predicted and judged.

    Its components are fields, as ``head: ProjectionHead = part("head", "linear")`` (see
    `aios_core.registry.part`), so that a configuration may set each of them.
    """

    codec: ClassVar[type[Codec]]
    """What `fit` makes, and what is read back with the weights."""

    name: str
    """Of the segments of rows that are of it: ``text``, ``image``, ``audio``, ..."""
    head: ProjectionHead
    corruption: Corruption
    noise: NoiseScheduler
    objective: Objective
    weight: float
    """Of its part of the loss. A part is a mean over positions, and over the numbers of each."""

    @abstractmethod
    def example(self, number: int) -> Any:
        """An item that `fit` takes, another one for another number; for contract suites."""

    @abstractmethod
    def fit(self, items: Iterable[Any]) -> Codec:
        """A codec for items of the training split, as a tokenizer is trained.

        Raises:
            DataError: they are no such items.
        """
