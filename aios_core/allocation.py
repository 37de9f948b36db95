"""Memory that ran out, on the CPU or on CUDA, in words that say what to make smaller."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

    from aios_core.errors import AIOSError

_REFUSED: Final = re.compile(
    r"out of memory|can't allocate|not enough memory|failed to allocate|alloc_cpu"
    r"|CUBLAS_STATUS_ALLOC_FAILED|integer multiplication overflow"
    r"|[Ss]torage size calculation overflowed"
)
"""How torch and its libraries say that there is no room, besides by a class of their own."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, NumPy or torch says that there is no memory left."""
    if isinstance(error, MemoryError):
        return True
    # torch.OutOfMemoryError is a RuntimeError; torch is not imported for a look at its name.
    return isinstance(error, RuntimeError) and (
        type(error).__name__ == "OutOfMemoryError" or _REFUSED.search(str(error)) is not None
    )


@contextmanager
def enough_memory(
    kind: type[AIOSError],
    work: str,
    remedy: str,
    *,
    at_least: int = 0,
    device: torch.device | None = None,
) -> Iterator[None]:
    """Turn memory that runs out inside into an error that a user can mend.

    Args:
        kind: of the error.
        work: what took the memory, with its sizes, as in ``"a step of 32 x 128 tokens"``.
        remedy: what to make smaller, and what is kept.
        at_least: bytes that the work takes for certain. Where the device has not so many at all,
            it is refused before it begins, which may be hours before it would fail.
        device: where they are needed; unset: in the memory of the machine.

    Raises:
        AIOSError: of that kind.
    """
    total = _total(device) if at_least else None
    if total is not None and at_least > total:
        raise kind(
            f"{work}: there is not enough memory; {remedy} (it takes at least {_size(at_least)}, "
            f"and there are {_size(total)})"
        )
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0][:200] or "the system refuses to give more"
        raise kind(f"{work}: there is not enough memory; {remedy} ({reason})") from error


def answer_bytes(rows: int, positions: int, vocabulary: int) -> int:
    """What the log-probabilities of a batch take, at least: a float32 for each token.

    Args:
        rows: of the batch.
        positions: that the network answers for at once.
        vocabulary: tokens.
    """
    return 4 * rows * positions * vocabulary


def _total(device: torch.device | None) -> int | None:
    """Bytes of a device's memory, used or not; None where the system does not say."""
    if device is not None and device.type == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"
