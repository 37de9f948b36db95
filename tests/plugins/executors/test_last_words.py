"""What a worker writes to its stderr reaches the user, whatever becomes of the worker."""

import os
import subprocess
import sys

from aios_plugins.executors.processes import Processes, _stderr


def test_what_a_worker_said_is_told_and_its_last_words_are_in_the_error(capfd):
    """A user sees why a process died, as of an abort in native code."""
    say = "(__import__('os').write(2, b'about {}\\n'), {})"
    last = say.format(3, "__import__('os')._exit(7)")
    lines = {str(n): (last if n == 3 else say.format(n, n),) for n in range(6)}
    outcomes = {o.key: o for o in Processes(workers=2).run(eval, lines)}

    assert ["its process ended with exit code 7: about 3", "about 3"] == (
        outcomes["3"].error.splitlines()
    )
    assert [f"about {n}" for n in (0, 1, 2, 4, 5)] == sorted(capfd.readouterr().err.splitlines())


def test_a_worker_that_dies_at_its_start_says_why(tmp_path):
    """As in a script without a guard, which each process imports before it works."""
    script = tmp_path / "script.py"
    script.write_text(
        "if __name__ != '__main__': raise ImportError('no such \\u00e4rm')\n"
        "from aios_plugins.executors.processes import Processes\n"
        "(one,) = Processes(workers=1).run(len, {'a': ('abc',)})\n"
        "print(one.error)\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    first, *lines = done.stdout.splitlines()

    assert "its process ended with exit code 1: ImportError: no such \u00e4rm" == first
    assert lines[0].startswith("Traceback")
    assert first.endswith(lines[-1])
    assert "" == done.stderr


def test_stderr_is_lent_for_the_start_of_a_worker_alone(tmp_path, capfd):
    """What this process says afterwards is read where it was read before."""
    with (tmp_path / "said").open("wb") as file:
        with _stderr(file.fileno()):
            os.write(2, b"the worker")
        os.write(2, b"the others")

    assert b"the worker" == (tmp_path / "said").read_bytes()
    assert "the others" == capfd.readouterr().err
