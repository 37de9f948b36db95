"""Signals that end a command: each is heard as Ctrl-C is, so that what is done is kept and told."""

from __future__ import annotations

import signal
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def interrupt() -> None:
    """Let SIGTERM and SIGHUP interrupt the command, unless it was started to ignore them."""
    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
