"""What holds for every test."""

import os
import signal

# Before torch is imported: two threads on a loaded machine are many times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nothing that a test tracks leaves this machine.
os.environ |= {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
# A shell that runs the tests in the background ignores Ctrl-C, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402 - see above
from hypothesis import settings  # noqa: E402

pytest_plugins = ["aios_core.testing.fixtures"]

# Timing is benchmarked, never asserted. CI tries the same examples each time, so that it fails for
# what a change did; every other run looks for new ones.
settings.register_profile("aios", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("aios")


@pytest.fixture
def aios(tmp_path, monkeypatch):
    """A function that runs a command: what it prints, and what it complains of where it fails."""
    from click.testing import CliRunner

    from aios_core.cli import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))

    def aios(*words, code=0):
        done = CliRunner().invoke(cli, words, prog_name="aios")
        assert done.exit_code in (code if isinstance(code, tuple) else (code,)), done.output
        return done.stdout if code == 0 else done.output

    return aios
