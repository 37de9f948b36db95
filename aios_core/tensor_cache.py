"""Results about a tensor, cached while it lives: a device is not asked twice.

Whoever reads a number from a graphics card waits until all that was launched is done, so the parts
of a step that read the same from the same tensor wait once, and read it once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Final, Generic, TypeVar, TypeVarTuple
from weakref import ref

if TYPE_CHECKING:
    from torch import Tensor

Rest = TypeVarTuple("Rest")
Answer = TypeVar("Answer")

_KEPT: Final = 4
"""Answers of a function: of a few tensors that are asked about by turns."""


class cached_by_tensor(Generic[*Rest, Answer]):  # noqa: N801 - a decorator, as cached_property is
    """Memoize a function of a tensor, to avoid waiting for the device twice.

    The last answers are kept until their tensor is changed or gone. They are shared, so nobody may
    write to them.
    """

    def __init__(self, function: Callable[[Tensor, *Rest], Answer]) -> None:
        self._function = function
        self._kept: tuple[tuple[ref[Tensor], int, tuple[*Rest], Answer], ...] = ()
        update_wrapper(self, function)

    def __call__(self, tensor: Tensor, *rest: *Rest) -> Answer:
        """The answer, worked out only if it is not known."""
        answer = self.known(tensor, *rest)
        return self.put(self._function(tensor, *rest), tensor, *rest) if answer is None else answer

    def known(self, tensor: Tensor, *rest: *Rest) -> Answer | None:
        """The answer if it is known."""
        for entry in self._kept:
            of, version, others, answer = entry
            same = of() is tensor and version == tensor._version  # noqa: SLF001
            if same and all(map(_equal, others, rest)):
                if entry is not self._kept[0]:  # what was asked for last is kept longest
                    self._kept = (entry, *(other for other in self._kept if other is not entry))
                return answer
        return None

    def put(self, answer: Answer, tensor: Tensor, *rest: *Rest) -> Answer:
        """Keep an answer that was found in another way, and return it."""
        # The one kind does not say when it changes; the other's graph should not outlive its use.
        if not (tensor.is_inference() or tensor.requires_grad):
            entry = ref(tensor), tensor._version, rest, answer  # noqa: SLF001
            self._kept = (entry, *self._kept[: _KEPT - 1])
        return answer


def _equal(first: object, other: object) -> bool:
    return first is other or (isinstance(first, int) and first == other)


@cached_by_tensor
def count(where: Tensor) -> int:
    """How many entries of a bool tensor are true."""
    return int(where.sum())


@cached_by_tensor
def masks(x: Tensor, mask_id: int) -> Tensor:
    """Where a state (B, L) holds a mask, bool."""
    equal: Tensor = x == mask_id
    return equal


@cached_by_tensor
def highest(log_probs: Tensor) -> Tensor:
    """The largest entry of each distribution, (B, L, V) to (B, L); not a number where one is."""
    return log_probs.amax(-1)


@cached_by_tensor
def doubtful(log_probs: Tensor) -> Tensor:
    """Where (B, L) no token can be drawn: of (B, L, V) the largest entry is not a finite number."""
    most = highest(log_probs)
    return (most - most) != 0  # not a number, but for finite ones; isfinite launches more


@cached_by_tensor
def others(where: Tensor) -> Tensor:
    """Where a bool tensor is false."""
    return ~where


@cached_by_tensor
def differences(new: Tensor, old: Tensor) -> int:
    """In how many positions two states (B, L) differ."""
    return int((new != old).sum())
