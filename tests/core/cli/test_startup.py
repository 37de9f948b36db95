"""The command line starts light, fails in plain words, and explains itself."""

import json
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from aios_core import cli
from aios_core.errors import ConfigError

HEAVY = {"torch", "numpy", "pyarrow", "safetensors", "rich", "matplotlib", "scipy", "jinja2"}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["plugins", "--help"], ["plugins", "list"]],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(arguments):
    code = (
        "import json, sys\n"
        "from aios_core.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(json.dumps(sorted(name for name in sys.modules if '.' not in name)))"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert not HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


def test_a_journal_is_read_without_torch(tmp_path):
    code = (
        "import sys\n"
        "from aios_core.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "evolve", "history", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "0 False" == done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("told", "expected"),
    [({}, cli.SPIN), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
    ids=str,
)
def test_threads_that_wait_soon_sleep_unless_told_otherwise(told, expected):
    code = "import os; from aios_core.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "print(os.environ.get('GOMP_SPINCOUNT'))"
    kept = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", code, "--version"]
    done = subprocess.run(command, env=kept | told, capture_output=True, text=True, check=True)

    assert expected == done.stdout.splitlines()[-1]


def test_help_imports_no_command():
    code = "import sys; from aios_core.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "print(sorted(name for name in sys.modules if name.startswith('aios_core.')))"
    command = [sys.executable, "-c", code, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert (
        "['aios_core.cli', 'aios_core.cli.signals', 'aios_core.cli.streams']"
        == done.stdout.splitlines()[-1]
    )
    assert all(name in done.stdout for name in cli.COMMANDS)


def commands(command, path=()):
    """Every command, with those below it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


@pytest.mark.parametrize("name", [None, *cli.COMMANDS])
def test_every_help_has_examples(name):
    command = cli.cli.get_command(click.Context(cli.cli), name) if name else cli.cli
    found = commands(command, (name,)) if name else [((), command)]
    for path, _ in found:
        done = CliRunner().invoke(cli.cli, [*path, "--help"])

        assert 0 == done.exit_code, path
        examples = done.stdout.rpartition("Examples:\n")[2]
        assert f"\n    aios {' '.join(path)}".rstrip() in f"\n{examples}", path


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_line_in_the_list_is_the_command_s_own(name):
    command = cli.cli.get_command(click.Context(cli.cli), name)

    assert cli.COMMANDS[name] == command.help.partition("\n")[0]


@pytest.fixture
def failing(monkeypatch):
    """Let ``aios report`` raise what a test wants."""

    def fail(error):
        @click.command()
        def command():
            raise error

        monkeypatch.setattr(cli.Commands, "get_command", lambda *_: command)
        return CliRunner().invoke(cli.cli, ["report"])

    return fail


def test_a_users_mistake_exits_with_2_and_every_problem(failing):
    done = failing(ConfigError("a.toml:1: x: bad", "a.toml:2: y: worse"))

    assert 2 == done.exit_code
    assert "error: a.toml:1: x: bad\nerror: a.toml:2: y: worse\n" == done.stderr


def test_an_interrupt_exits_with_130(failing):
    assert 130 == failing(KeyboardInterrupt()).exit_code


def test_an_unknown_command_exits_with_2():
    done = CliRunner().invoke(cli.cli, ["plugin"])

    assert 2 == done.exit_code
    assert "No such command 'plugin'" in done.stderr


def test_the_version_is_the_distributions():
    from importlib.metadata import version

    assert version("ai-os-diffusion") in CliRunner().invoke(cli.cli, ["--version"]).stdout
