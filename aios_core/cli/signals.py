"""Signals that end a command: each is handled like Ctrl-C is, so that finished work is kept.

Python handles a signal between two of its own steps, and a call of a network may take hours. So who
interrupts once more, after a message says so, ends the command at once: files are made such that a
kill at any instant leaves nothing, or something valid.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from types import FrameType
from typing import Final

import click

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
_HANDLED: Final = (signal.SIGINT, *_ENDING)

_IMPORTING: Final = "<frozen importlib._bootstrap>"
"""Where the frames of an import statement are."""

_GRACE: Final = 2.0
"""Seconds from the first signal, in which others count as the same: a terminal sends several."""


def interrupt() -> None:
    """Let all three interrupt the command, unless it was started to ignore them."""
    for number in _HANDLED:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _interrupt)
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))  # the pipe is shared
    threading.Thread(target=_insist, args=(receiver,), daemon=True).start()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Interrupt the command; while a module is imported, end the process by the signal.

    A compiled module whose import is interrupted aborts the process, or cannot be imported again.
    """
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        frame = frame.f_back
    raise KeyboardInterrupt


def _insist(receiver: int) -> None:
    """End the process when it is interrupted again, and has not ended by itself."""
    _wait(receiver)
    time.sleep(_GRACE)
    if select.select([receiver], [], [], 0)[0]:
        os.read(receiver, 512)
    click.echo("interrupted: the present step goes on to its end; again ends at once", err=True)
    _wait(receiver)
    os._exit(130)


def _wait(receiver: int) -> None:
    while not set(os.read(receiver, 512)) & set(_HANDLED):
        pass
