"""Nothing that was acknowledged is lost, and no reader sees half a write."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("crashing.py")


def run(*arguments):
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_writer_may_be_killed_at_any_instant():
    output = run("crash", 50).split()

    assert ["50", "writers", "killed,"] == output[:3]
    assert int(output[3]) > 25, "of them while they wrote"


@pytest.mark.slow
def test_readers_see_whole_writes_beside_a_writer():
    assert 2 == run("readers", 4).count("views")
