"""The executors meet their contract, and the pool survives what only a pool can."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from aios_plugins.executors.processes import Processes

DIE = "__import__('os').kill(__import__('os').getpid(), 9)"


def jobs(last_words):
    """Jobs of `eval`, which a new process has at once; the third one of them ends its process."""
    return {str(n): (last_words if n == 3 else str(n),) for n in range(6)}


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_worker_is_an_outcome_and_the_pool_goes_on(workers):
    outcomes = {o.key: o for o in Processes(workers=workers).run(eval, jobs(DIE))}

    assert "its process was killed by SIGKILL (is there enough memory?)" == outcomes.pop("3").error
    assert set(range(6)) - {3} == {o.value for o in outcomes.values()}


def test_worker_that_exits_is_an_outcome():
    outcomes = {o.key: o for o in Processes(workers=2).run(eval, jobs("__import__('os')._exit(7)"))}

    assert "its process ended with exit code 7" == outcomes["3"].error
    assert 4 == outcomes["4"].value


def test_worker_has_one_thread():
    (outcome,) = Processes(workers=1).run(os.getenv, {"a": ("OMP_NUM_THREADS",)})

    assert "1" == outcome.value


_PROGRAM = """
    import sys, time
    from pathlib import Path
    from aios_plugins.executors.processes import Processes

    def work(folder, n):
        Path(folder, f"begun{n}").touch()
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            Path(folder, f"saved{n}").touch()
            raise

    if __name__ == "__main__":
        jobs = {str(n): (sys.argv[1], n) for n in range(4)}
        try:
            list(Processes(workers=2).run(work, jobs))
        except KeyboardInterrupt:
            sys.exit(130)
"""


@pytest.fixture
def program(tmp_path):
    """A process that runs jobs in its own process group, both of which have begun."""
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(_PROGRAM))
    process = subprocess.Popen(
        [sys.executable, path, tmp_path], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("begun*"))) < 2:
        assert time.monotonic() < deadline, "the jobs never began"
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()
    process.stderr.close()


def test_ctrl_c_lets_jobs_save_their_work(program, tmp_path):
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does: to the whole group

    assert 130 == program.wait(timeout=60)
    assert ["saved0", "saved1"] == sorted(path.name for path in tmp_path.glob("saved*"))
    assert "Traceback" not in program.stderr.read()


def test_workers_die_with_a_killed_parent(program, tmp_path):
    children = _children(program.pid)
    program.kill()
    program.wait()

    deadline = time.monotonic() + 60
    while any(_alive(child) for child in children):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)
    assert len(children) >= 2


def _children(pid):
    listing = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listing.stdout.splitlines()[1:]]
    return [int(child) for child, parent in rows if int(parent) == pid]


def _alive(pid):
    listing = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(listing.stdout.strip()) and not listing.stdout.startswith("Z")
