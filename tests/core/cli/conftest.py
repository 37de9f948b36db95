"""The command line, in a folder of its own."""

import pytest
from click.testing import CliRunner

from aios_core.cli import cli


@pytest.fixture
def aios(tmp_path, monkeypatch):
    """A function that runs a command: what it prints, and what it complains of where it fails."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))

    def aios(*words, code=0):
        done = CliRunner().invoke(cli, words, prog_name="aios")
        assert done.exit_code in (code if isinstance(code, tuple) else (code,)), done.output
        return done.stdout if code == 0 else done.output

    return aios
