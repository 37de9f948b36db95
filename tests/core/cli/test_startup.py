"""The command line starts light, fails in plain words, and explains itself."""

import json
import os
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from aios_core import cli
from aios_core.errors import ConfigError

NAMES = cli.cli.list_commands(click.Context(cli.cli))
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
    ("environ", "expected"),
    [({}, cli.SPIN), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
    ids=str,
)
def test_threads_that_wait_soon_sleep_unless_told_otherwise(environ, expected):
    code = "import os; from aios_core.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "print(os.environ.get('GOMP_SPINCOUNT'))"
    kept = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", code, "--version"]
    done = subprocess.run(command, env=kept | environ, capture_output=True, text=True, check=True)

    assert expected == done.stdout.splitlines()[-1]


def test_help_imports_no_command():
    code = "import sys; from aios_core.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "starts = 'aios_core.cli.', 'aios_plugins.commands.'\n"
    code += "print(sorted(name for name in sys.modules if name.startswith(starts)))"
    command = [sys.executable, "-c", code, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "['aios_core.cli.signals', 'aios_core.cli.streams']" == done.stdout.splitlines()[-1]
    assert all(f"\n  {name} " in done.stdout for name in NAMES)


COMMAND = """
    import click
    import aios_core
    from attrs import frozen
    from aios_core.contracts import Command

    AIOS_API = 1

    @click.command()
    def command():
        click.echo("theirs")

    @frozen
    class Theirs(Command):
        "Say whose it is."

        def build(self):
            return command

    @frozen
    class Nothing(Command):
        "Give nothing."

        def build(self):
            return None

    @aios_core.hookimpl
    def aios_commands():
        return {"theirs": Theirs, "run": Theirs, "nothing": Nothing, "gone": "no_module:Gone"}
"""


@pytest.fixture
def theirs(tmp_plugin):
    """The group, where somebody's commands are installed."""
    tmp_plugin(COMMAND, module="their_commands")
    return cli.Commands("aios", callback=lambda: None)


def test_a_plugin_s_command_is_used_as_ours_are(theirs):
    shown = CliRunner().invoke(theirs, ["--help"])

    assert "\n  theirs " in shown.stdout
    assert "  Say whose it is.\n" in shown.stdout
    assert (0, "theirs\n") == (
        (done := CliRunner().invoke(theirs, ["theirs"])).exit_code,
        done.stdout,
    )
    assert "Train the model" in CliRunner().invoke(theirs, ["run", "--help"]).stdout, "the core's"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone", "command.gone of their-commands 1.0 .* cannot be used: .*no_module"),
        ("nothing", "command nothing of their-commands 1.0: build gives None; expected a click"),
        ("thiers", "No such command 'thiers'"),
    ],
)
def test_a_command_that_cannot_be_used_says_why(theirs, name, said):
    done = CliRunner().invoke(theirs, [name])

    assert 2 == done.exit_code, done.output
    assert re.search(said, done.stderr), done.stderr


def test_a_command_of_a_plugin_that_is_blocked_or_broken_says_so(theirs, tmp_plugin, monkeypatch):
    tmp_plugin("import no_such_module", module="broken_commands")
    done = CliRunner().invoke(theirs, ["theris"])
    monkeypatch.setenv("AIOS_DISABLE_PLUGINS", "commands")
    blocked = CliRunner().invoke(cli.Commands("aios", callback=lambda: None), ["evolve"])

    assert (2, 2) == (done.exit_code, blocked.exit_code)
    assert "no command is called 'theris'; did you mean 'theirs'?" in done.stderr
    assert "broken-commands 1.0" in done.stderr
    assert "Plugins that AIOS_DISABLE_PLUGINS blocks: ai-os-diffusion" in blocked.stderr
    assert "Some plugins could not be loaded" in CliRunner().invoke(theirs, ["--help"]).stdout


def test_two_commands_of_a_name_are_both_named(theirs, tmp_plugin):
    tmp_plugin(COMMAND, module="other_commands")
    done = CliRunner().invoke(theirs, ["theirs"])

    assert 2 == done.exit_code
    assert "their-commands 1.0" in done.stderr
    assert "other-commands 1.0" in done.stderr
    assert "AIOS_DISABLE_PLUGINS" in done.stderr


def commands(command, path=()):
    """Every command, with those below it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


@pytest.mark.parametrize("name", [None, *NAMES])
def test_every_help_has_examples(name):
    command = cli.cli.get_command(click.Context(cli.cli), name) if name else cli.cli
    result = commands(command, (name,)) if name else [((), command)]
    for path, _ in result:
        done = CliRunner().invoke(cli.cli, [*path, "--help"])

        assert 0 == done.exit_code, path
        examples = done.stdout.rpartition("Examples:\n")[2]
        assert f"\n    aios {' '.join(path)}".rstrip() in f"\n{examples}", path


@pytest.mark.parametrize("name", NAMES)
def test_the_line_in_the_list_is_the_command_s_own(name):
    command = cli.cli.get_command(click.Context(cli.cli), name)

    own = re.sub(r"\s+", " ", command.help.partition("\n")[0])
    shown = re.sub(r"\s+", " ", CliRunner().invoke(cli.cli, ["--help"]).stdout)
    assert f" {name} {own} " in f"{shown} "


@pytest.fixture
def failing(monkeypatch):
    """Let ``aios report`` raise what a test needs."""

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
