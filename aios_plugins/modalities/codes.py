"""Items that a frozen codebook has made tokens of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from attrs import Attribute, field, frozen, validators

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
from aios_plugins.modalities._files import check_all

if TYPE_CHECKING:
    from numpy.typing import NDArray


@frozen
class Table(Codec):
    """Numbers of entries of a codebook, as they are.

    Which level of a residual quantizer a code is of follows from its place, not from its number: so
    whatever is drawn is a code of its level.
    """

    size: int
    along: tuple[int, ...]

    @property
    def space(self) -> Vocabulary:
        """The codes and a mask."""
        return Vocabulary(size=self.size + 1, mask_id=self.size, pad_id=0, bos_id=0, eos_id=0)

    @property
    def grid(self) -> tuple[int, ...]:
        """As configured."""
        return self.along

    def encode(self, item: Any) -> NDArray[np.int32]:
        """(L,) codes.

        Raises:
            DataError: another shape, or a number that is no code.
        """
        codes = np.asarray(item)
        if codes.dtype.kind not in "iu" or codes.shape != self.along:
            raise DataError(
                f"expected whole numbers of shape {self.along}, got {codes.dtype} of shape "
                f"{codes.shape}"
            )
        if codes.size and not 0 <= codes.min() <= codes.max() < self.size:
            raise DataError(
                f"holds codes from {codes.min()} to {codes.max()}; expected 0 to {self.size - 1}"
            )
        return codes.reshape(-1).astype(np.int32)

    def decode(self, state: NDArray[np.generic]) -> NDArray[np.int64]:
        """Codes of the shape of the grid."""
        return np.asarray(state).astype(np.int64).clip(0, self.size - 1).reshape(self.along)

    def show(self, item: Any) -> Shown:
        """The numbers; whoever has the decoder of the codebook makes more of them."""
        rows = np.asarray(item).reshape(len(item), -1)
        return Shown("text/plain", "\n".join(" ".join(map(str, row)) for row in rows).encode())


@frozen
class Codes(Modality):
    """Codes of any frozen codebook, as of a picture or audio codec; masked diffusion of them.

    The codec itself stays outside: rows bring codes, and samples are codes.
    """

    codec: ClassVar = Table

    name: str = field(default="codes", validator=validators.min_len(1))
    """Of the segments that are of it."""
    size: int = field(default=1024, validator=[validators.ge(2), validators.le(2**20)])
    """Entries of the codebook; those of a residual quantizer have one size at all levels."""
    grid: tuple[int, ...] = field(default=(16,))
    """Codes along each axis: [75] of a line, [75, 8] of frames and levels of a quantizer."""
    weight: float = field(default=0.1, validator=[validators.gt(0), validators.le(1e6)])
    """Of its part of the loss."""
    head: ProjectionHead = part("head", "text")
    corruption: Corruption = part("corruption", "absorbing")
    noise: NoiseScheduler = part("noise", "loglinear")
    objective: Objective = part("objective", "nelbo")

    @grid.validator
    def _sizes(self, attribute: Attribute[Any], value: tuple[int, ...]) -> None:
        if not 1 <= len(value) <= 2 or not all(1 <= side <= 2**16 for side in value):
            raise ValueError(f"expected one or two sizes from 1 to {2**16}, got {list(value)}")

    def example(self, number: int) -> NDArray[np.int64]:
        """Random codes."""
        return np.random.default_rng(number).integers(0, self.size, self.grid)

    def fit(self, items: Iterable[Any]) -> Table:
        """Nothing is fitted; the codes are looked at all the same.

        Raises:
            DataError: some are refused.
        """
        codec = Table(self.size, self.grid)
        check_all(codec, items, "codes")
        return codec
