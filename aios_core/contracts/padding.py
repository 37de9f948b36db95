"""How texts of several lengths become one rectangle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen, validators

from aios_core.errors import TokenizerError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aios_core.contracts.space import Vocabulary

_side = validators.in_(("left", "right"))


@frozen
class Padding:
    """What a batch of texts is cut and padded to; the names are those of transformers."""

    max_length: int | None = field(
        default=None, validator=validators.optional(validators.ge(0)), kw_only=True
    )
    """Most ids of a row, bos and eos included; the rest of a text is cut off. None: no limit."""
    padding: Literal["longest", "max_length"] = field(
        default="longest", validator=validators.in_(("longest", "max_length")), kw_only=True
    )
    """Pad to the longest row, or to `max_length` even where all are shorter."""
    padding_side: Literal["left", "right"] = field(default="right", validator=_side, kw_only=True)
    """Where the padding goes."""
    truncation_side: Literal["left", "right"] = field(
        default="right", validator=_side, kw_only=True
    )
    """Which end of a text is cut off."""
    pad_to_multiple_of: int = field(default=1, validator=validators.ge(1), kw_only=True)
    """The width is rounded up to a multiple of it, beyond `max_length` if need be."""
    bos: bool = field(default=False, kw_only=True)
    """Whether a bos id comes before every text."""
    eos: bool = field(default=False, kw_only=True)
    """Whether an eos id comes after every text, also after one that was cut."""

    def __attrs_post_init__(self) -> None:
        if self.padding == "max_length" and self.max_length is None:
            raise ValueError("padding is 'max_length' and max_length is None; expected a number")
        if self.max_length is not None and self.max_length < self.bos + self.eos:
            raise ValueError(
                f"max_length is {self.max_length}; expected at least {self.bos + self.eos}, "
                "which bos and eos take"
            )

    def around(self, vocabulary: Vocabulary) -> tuple[list[int], list[int]]:
        """Ids before and after every text."""
        return [vocabulary.bos_id] * self.bos, [vocabulary.eos_id] * self.eos

    def apply(
        self, rows: Sequence[NDArray[np.integer]], vocabulary: Vocabulary
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The rectangle of B rows of ids: ids (B, L) int64, and mask (B, L), False at padding.

        Raises:
            TokenizerError: the rectangle does not fit into memory.

        Examples:
            >>> import numpy as np
            >>> from aios_core.contracts import Vocabulary
            >>> vocabulary = Vocabulary(size=260, mask_id=256, pad_id=257, bos_id=258, eos_id=259)
            >>> ids, mask = Padding(eos=True).apply([np.array([1, 2]), np.array([3])], vocabulary)
            >>> ids
            array([[  1,   2, 259],
                   [  3, 259, 257]])
        """
        import numpy as np

        before, after = self.around(vocabulary)
        surplus = len(before) + len(after)
        room = None if self.max_length is None else self.max_length - surplus
        if room is not None:
            cut = self.truncation_side == "left"
            rows = [row[max(len(row) - room, 0) :] if cut else row[:room] for row in rows]
        width = max((len(row) + surplus for row in rows), default=0)
        if self.padding == "max_length" and self.max_length is not None:
            width = self.max_length
        width += -width % self.pad_to_multiple_of
        try:
            ids = np.full((len(rows), width), vocabulary.pad_id, dtype=np.int64)
            mask = np.zeros((len(rows), width), dtype=np.bool_)
        except (MemoryError, ValueError) as error:
            raise TokenizerError(
                f"{len(rows)} rows of {width} ids do not fit into memory; expected max_length"
            ) from error
        for i, row in enumerate(rows):
            length = len(row) + surplus
            start = 0 if self.padding_side == "right" else width - length
            ids[i, start : start + length] = np.concatenate([before, row, after])
            mask[i, start : start + length] = True
        return ids, mask
