"""Work that is killed at any instant, for tests of what is there afterwards."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

_CHANGES: Final = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate"}
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def killed(work: Callable[[], object], number: int) -> bool:
    """Do work in a child process that dies at its n-th change of a file.

    Args:
        work: what is done; it must not fail.
        number: of the change, from 1. Changes are what Python itself does: files opened to be
            written, made, renamed, removed.

    Returns:
        Whether there were so many.
    """
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            if event in _CHANGES or (event == "open" and arguments[2] & _WRITES):
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed"
    return os.WIFSIGNALED(status)


def every_instant(work: Callable[[], object], least: int, step: int = 1) -> Iterator[int]:
    """Kill at one change after the other, until the work is done.

    Args:
        work: as for `killed`.
        least: changes that there must be, or nothing was tried.
        step: from one change to the next that is tried.

    Yields:
        The number of the change, once the child has ended; for the last time when it is done.
    """
    number = 1
    while killed(work, number):
        yield number
        number += step
    assert least < number, f"only {number - 1} changes of files were seen"
    yield number
