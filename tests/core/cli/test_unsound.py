"""What makes no bound is refused by every command, before any work."""

import json

import attrs
import pytest
from click.testing import CliRunner

from aios_core.cli import cli
from aios_core.errors import AIOSError
from aios_core.training.state import read_state, write_state

from .test_run import CONFIG

WRONG = ("--set", "noise.type=linear-sigma", "--set", "noise.sigma_max=0.1")
REFUSAL = (
    "noise linear-sigma of ai-os-diffusion",
    "(sigma_min=0.0, sigma_max=0.1): alpha(1) is 0.904837; expected 0, or 0.001 at most",
)


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    (tmp_path / "tiny.toml").write_text(CONFIG + "[evaluation]\ntwin = false\n")
    (tmp_path / "corpus.txt").write_text("a bottle of milk, and another. " * 100)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))


def refused(*arguments):
    """The message with which a command refuses."""
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code != 0
    assert isinstance(done.exception, AIOSError | SystemExit), done.exception
    return f"{done.output}{done.exception}"


def assert_told(text):
    for part in REFUSAL:
        assert part in " ".join(text.split())


@pytest.mark.parametrize("command", [("config", "check"), ("run",), ("ablate",)])
def test_what_would_train_it(command, tmp_path):
    """Fault N1: `config check`, `run` and `ablate` say of the same file the same."""
    if command == ("ablate",):
        text = (tmp_path / "tiny.toml").read_text()
        grid = '[ablate]\n"noise.sigma_max" = [10.0, 0.1]\n'
        (tmp_path / "tiny.toml").write_text(f'{text}[noise]\ntype = "linear-sigma"\n{grid}')
        assert_told(refused(*command, "tiny.toml"))
    else:
        assert_told(refused(*command, "tiny.toml", *WRONG))
    assert not (tmp_path / "runs").exists()


def test_what_would_measure_or_write_with_it(tmp_path):
    """Fault N1: a run of before is not evaluated, and makes no text."""
    done = CliRunner().invoke(cli, ["run", "tiny.toml"])
    assert 0 == done.exit_code, done.output
    for path in (tmp_path / "runs/tiny/checkpoints").glob("*/state.json"):
        state = json.loads(path.read_text())
        state["values"]["noise"] = {"type": "linear-sigma", "sigma_min": 0.0, "sigma_max": 0.1}
        write_state(path.parent, attrs.evolve(read_state(path.parent), values=state["values"]))
    for command in ("evaluate", "sample"):
        assert_told(refused(command, "runs/tiny"))
