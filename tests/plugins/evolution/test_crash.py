"""Killed at any instant, or out of room: HEAD is whole."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from aios_plugins.evolution.journal import Journal


@pytest.mark.slow
def test_no_kill_leaves_half_a_head(tmp_path):
    program = Path(__file__).with_name("crashing.py")
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path), "40"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert int(done.stdout) > 10
    assert Journal.of(tmp_path).head is not None


FULL = """
import resource
from aios_core.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
main()
"""


@pytest.mark.slow
def test_a_full_disk_is_told_and_changes_nothing(run):
    """The limit of a file's size stands in for the disk: the kernel refuses the bytes."""
    words = ["evolve", "run", str(run), "--set", "evolution.steps=60"]
    done = subprocess.run(
        [sys.executable, "-c", FULL, *words],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_ignore,
    )

    assert 2 == done.returncode, done.stderr
    assert "cannot be written" in done.stderr
    assert "HEAD stays where it was" in done.stderr
    assert Journal.of(run).head is None
    assert not [p for p in (run / "evolution" / "versions").glob("*") if p.name[0] != "."]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def _ignore():
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
