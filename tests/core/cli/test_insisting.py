"""A second signal, where the first is not heard."""

import signal
import subprocess
import sys

import pytest

BUSY = """
import hashlib, signal
from aios_core.cli import signals
for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(one, lambda *_: None)  # it may come before the call has begun
signals._GRACE = 0.01
signals.interrupt()
print("begun", flush=True)
hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""
"""A call that hears no signal for half an hour."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_ends_what_does_not_hear_the_first(number):
    """Fault N11: a step of a network took hours, and only SIGKILL ended it."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", BUSY], text=True, **pipes) as child:
        assert "begun\n" == child.stdout.readline()
        child.send_signal(number)
        assert "interrupted: the present step goes on to its end" in child.stderr.readline()
        child.send_signal(number)

        assert 130 == child.wait()
