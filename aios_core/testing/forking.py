"""Work in a forked process, where what waits for ever is a failure."""

from __future__ import annotations

import json
import os
import select
import signal
import traceback
import warnings
from collections.abc import Callable
from typing import Any, Final

SECONDS: Final = 60
"""A child that has not answered by then waits for something that never comes."""


def fork() -> int:
    """As `os.fork`, also where Python warns of it because threads run: that is what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return os.fork()


def in_child(work: Callable[[], Any]) -> Any:
    """What a function returns in a forked process, as JSON carries it.

    Raises:
        AssertionError: it raised there, died, or did not end.
    """
    reader, writer = os.pipe()
    if not (child := fork()):
        code = 1
        try:
            os.close(reader)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                said = {"found": work()}
            code = 0
        except BaseException:  # noqa: BLE001 - it is reported
            said = {"error": traceback.format_exc()}
        finally:
            os.write(writer, json.dumps(said).encode())
            os._exit(code)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as pipe:
            ready, _, _ = select.select([pipe], [], [], SECONDS)
            answer = pipe.read() if ready else None
    finally:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    assert answer is not None, f"the forked process did not answer in {SECONDS} seconds"
    assert answer, f"the forked process died: {os.waitstatus_to_exitcode(status)}"
    said = json.loads(answer)
    assert "error" not in said, f"in the forked process: {said['error']}"
    return said["found"]
