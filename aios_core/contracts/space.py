"""Spaces: what one position of a state is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from attrs import field, frozen, validators

from aios_core.errors import PluginError, TokenizerError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Space(ABC):
    """What one position of a state is: a token of a vocabulary, or numbers.

    It decides the shape of states, which corruptions have a process for it, and what a head says of
    a position: always what is clean there, never the noise and never a velocity.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def width(self) -> int:
        """W, how many numbers a head says of a position."""


@frozen
class Vocabulary(Space):
    """Size and special ids of a trained tokenizer, all that a network needs to know of it."""

    size: int
    """V, the special tokens included."""
    mask_id: int
    pad_id: int
    bos_id: int
    eos_id: int

    @classmethod
    def of(cls, space: Space, part: object) -> Self:
        """A space as a vocabulary, for a part of a model that knows tokens alone.

        Raises:
            PluginError: it is none; the message names the part.
        """
        if not isinstance(space, cls):
            raise PluginError(
                f"{type(part).__name__} is for tokens; expected a vocabulary, got {space}"
            )
        return space

    @property
    def width(self) -> int:
        """V: a head says a logit of each token."""
        return self.size

    @property
    def special_ids(self) -> tuple[int, ...]:
        """Ids that stand for no text: mask, pad, bos, eos."""
        return self.mask_id, self.pad_id, self.bos_id, self.eos_id

    def check(self, ids: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int32]:
        """One row of ids as an array, after a look at each.

        Raises:
            TokenizerError: they are not one row of whole numbers, each below `size`.

        Examples:
            >>> vocabulary = Vocabulary(size=260, mask_id=256, pad_id=257, bos_id=258, eos_id=259)
            >>> vocabulary.check([104, 105, 259])
            array([104, 105, 259], dtype=int32)
            >>> vocabulary.check([260])
            Traceback (most recent call last):
            aios_core.errors.TokenizerError: id 260 is not in the vocabulary; expected 0 to 259
        """
        import numpy as np

        array = np.asarray(ids)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise TokenizerError(
                f"ids are {array.dtype} of shape {array.shape}; expected one row of whole numbers"
            )
        for token_id in (array.min(), array.max()) if array.size else ():
            if not 0 <= token_id < self.size:
                raise TokenizerError(
                    f"id {token_id} is not in the vocabulary; expected 0 to {self.size - 1}"
                )
        return array.astype(np.int32)


@frozen
class Continuous(Space):
    """Numbers of about unit variance: states are (B, L, C) floating-point."""

    channels: int = field(validator=[validators.ge(1), validators.le(2**20)])
    """C, numbers of a position."""

    @property
    def width(self) -> int:
        """C: a head says the mean of each number."""
        return self.channels
