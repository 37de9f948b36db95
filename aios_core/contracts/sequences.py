"""Sequences: rows as a network reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Factory, field, frozen

from aios_core.contracts.backbone import Condition

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@frozen(eq=False)
class Sequences:
    """B sequences of L positions, with what is learned in them and what may be seen from where."""

    ids: Tensor
    """(B, L) int64 clean tokens."""
    valid: Tensor
    """(B, L) bool, False at padding, which no other position sees."""
    targets: Tensor = field(default=Factory(lambda self: self.valid, takes_self=True))
    """(B, L) bool, what is noised, predicted and sampled; all else that is valid is given: seen as
    it is, without a loss. Unset: all that is valid."""
    sizes: Tensor = field(default=Factory(lambda self: self.targets.sum(-1), takes_self=True))
    """(B,) int64 tokens, by which nats are divided: the targets without those that only fill a row
    up behind its end token. Unset: all targets."""
    rows: Tensor | None = None
    """(B, L) int64, the number within its sequence of the row that a position belongs to, -1 at
    padding; positions of other rows are not seen. None: every sequence is one row."""
    positions: Tensor | None = None
    """(B, L) int64, the place of each position in its row, where sequences hold several."""

    def __len__(self) -> int:
        """B."""
        return len(self.ids)

    def __getitem__(self, part: slice | Tensor) -> Sequences:
        """Some of the sequences."""
        return self._each(lambda tensor: tensor[part])

    def to(self, device: object) -> Sequences:
        """The same on a device."""
        return self._each(lambda tensor: tensor.to(device))  # type: ignore[call-overload]

    def first_halves(self, pad_id: int) -> Tensor:
        """(B, L) int64 ids, padding from the second half of what is learned on.

        What a row may be found by, where its second half is predicted.
        """
        first = self.targets.cumsum(-1) * 2 <= self.sizes[:, None]
        return self.ids.where(first, pad_id)

    def condition(self, place: Callable[[Tensor], Tensor] = lambda tensor: tensor) -> Condition:
        """What a network must be asked with, so that rows are seen apart and padding not at all.

        Args:
            place: a tensor to the network's device.
        """
        if self.rows is None or self.positions is None:
            # Full attention is faster.
            return Condition(None if bool(self.valid.all()) else place(self.valid))
        rows = place(self.rows)
        return Condition(
            mask=rows[:, :, None] == rows[:, None, :], positions=place(self.positions)[..., None]
        )

    def _each(self, change: Callable[[Tensor], Tensor]) -> Sequences:
        parts = (self.ids, self.valid, self.targets, self.sizes, self.rows, self.positions)
        return Sequences(*(None if part is None else change(part) for part in parts))  # type: ignore[arg-type]


def joined(first: Sequences, second: Sequences) -> Sequences:
    """Sequences of one length, one batch behind the other, each of which is one row."""
    import torch

    names = ("ids", "valid", "targets", "sizes")
    parts = [torch.cat((getattr(first, name), getattr(second, name))) for name in names]
    return Sequences(*parts)
