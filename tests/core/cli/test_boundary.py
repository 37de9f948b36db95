"""Whatever a command raises reaches a user in words, with the exit code that its kind has."""

import errno
import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import click
import pyarrow as pa
import pytest
import torch
from attrs import frozen
from click.testing import CliRunner
from safetensors import SafetensorError

import aios_core
from aios_core.cli import boundary, cli, culprit
from aios_core.cli.common import print_json
from aios_core.contracts import NoiseScheduler
from aios_core.errors import ConfigError, InferenceError
from aios_core.registry import Registry
from aios_plugins.commands import report

HUGE = "9" * 5000


def raising(monkeypatch, error):
    """Let `aios report` raise; what it prints, and its exit code."""

    @click.command()
    @click.option("--steps", "num_inference_steps")
    @click.option("-q", "--quick")
    def command(**_):
        raise error

    monkeypatch.setattr(report, "command", command)
    done = CliRunner().invoke(cli, ["report"])
    return done.output, done.exit_code


def encoding_error(text):
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("Unable to allocate 8 GiB"), "there is not enough memory (Unable to"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "there is not enough memory"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't "
                "allocate memory: you tried to allocate 9 bytes."
            ),
            "expected smaller sizes: fewer texts at once, shorter ones, or a smaller network",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "a/b.txt"),
            "error: a/b.txt: No such file",
        ),
        (PermissionError(errno.EACCES, "Permission denied", b"c"), "error: c: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), "the system says: No space left"),
        (encoding_error("n\udcff/e.txt"), "'n\\udcff/e.txt': is not valid UTF-8"),
        (UnicodeDecodeError("utf-8", b"ab\xff", 2, 3, "x"), "byte 0xff at 2 is not valid UTF-8"),
        (OverflowError("int too large to convert"), "a number is too large: int too large"),
        (ValueError("Exceeds the limit (4300 digits) for"), "a number has thousands of digits"),
        (RecursionError("maximum"), "nested too deeply"),
        (pa.ArrowInvalid("not a Parquet file\nmore"), "error: pyarrow: not a Parquet file\n"),
        (SafetensorError("header too large"), "error: safetensors: header too large"),
        (sqlite3.OperationalError("no such table"), "error: sqlite3: no such table"),
        (zipfile.BadZipFile("File is not a zip file"), "error: zipfile: File is not a zip file"),
        (ImportError("libcudart.so: cannot open"), "a module cannot be imported: libcudart.so"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_is_foreseen_is_told_in_words(monkeypatch, error, words):
    """Fault D7, N10, N13, T8: no exception of a library or of the system reaches a user."""
    output, code = raising(monkeypatch, error)

    assert 2 == code
    assert words in output
    assert "Traceback" not in output


def test_a_defect_is_told_and_has_an_exit_code_of_its_own(monkeypatch):
    monkeypatch.delenv(boundary.VARIABLE, raising=False)
    output, code = raising(monkeypatch, KeyError("rows"))

    assert 70 == code
    assert "error: a defect of aios itself: KeyError: 'rows'" in output
    assert "Traceback" not in output


def test_a_traceback_is_shown_where_one_is_asked_for(monkeypatch):
    monkeypatch.setenv(boundary.VARIABLE, "1")
    output, code = raising(monkeypatch, KeyError("rows"))

    assert 70 == code
    assert "Traceback (most recent call last)" in output


def test_a_panic_of_rust_is_told_as_a_defect(monkeypatch):
    panic = type("PanicException", (BaseException,), {})
    output, code = raising(monkeypatch, panic("index out of bounds"))

    assert 70 == code
    assert "PanicException: index out of bounds" in output


def test_every_problem_of_a_configuration_is_told(monkeypatch):
    output, code = raising(monkeypatch, ConfigError("a.toml:1: one", "a.toml:2: two"))

    assert 2 == code
    assert "error: a.toml:1: one\nerror: a.toml:2: two\n" == output


def test_a_parameter_in_a_message_is_spelled_as_the_option_of_the_command(monkeypatch):
    """Fault D8: a remedy is an option of the command that names it."""
    error = InferenceError("expected fewer `num_inference_steps`, `quick`, or another `prompt`")
    output, _ = raising(monkeypatch, error)

    assert "error: expected fewer --steps, --quick, or another `prompt`\n" == output
    output, _ = raising(monkeypatch, InferenceError("expected `num_inference_steps` = 3 or 4"))

    assert "error: expected --steps 3 or 4\n" == output


@frozen
class Broken(NoiseScheduler):
    """A schedule that raises."""

    def alpha(self, t):
        return {}["alpha"]


def test_the_plugin_that_raised_is_named(monkeypatch):
    """Fault N17: the culprit is named by component, distribution and version."""
    registry = Registry.empty()
    plugin = SimpleNamespace(
        AIOS_API=1, aios_noise_schedulers=aios_core.hookimpl(lambda: {"broken": Broken})
    )
    registry.add(plugin, distribution="aios-broken", version="0.1", name="broken")
    monkeypatch.setattr(Registry, "discover", lambda **_: registry)
    try:
        Broken().alpha(0.5)
    except KeyError as error:
        result = culprit.culprit(error)
        message = boundary.user_error(error)

    assert "noise.broken of aios-broken 0.1 (entry point broken)" == result
    assert 70 == message.exit_code
    assert message.message.startswith(f"{result} raised KeyError: 'alpha'")


def shell(line, **environ):
    """A command line of a shell: exit code of `aios`, stdout and stderr."""
    line = line.replace("aios", f"{sys.executable} -c 'from aios_core.cli import main; main()'", 1)
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, check=False, env=os.environ | environ
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("words", ["--version", "plugins list"])
def test_a_full_stdout_is_named(words, unbuffered):
    """Fault N12: a full disk under stdout is one line, and exit code 2."""
    code, _, stderr = shell(f"aios {words} > /dev/full", PYTHONUNBUFFERED=unbuffered)

    assert (2, b"error: standard output: No space left on device\n") == (code, stderr)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_stream_that_is_closed_stops_nothing(closed):
    """Fault N11: a closed stream is as /dev/null."""
    code, _, stderr = shell(f"aios plugins list {closed}")

    assert (0, b"") == (code, stderr)


def test_a_file_that_is_opened_never_takes_the_number_of_a_closed_stream(tmp_path):
    """Fault N11: what is printed goes into no file that the command opens."""
    script = (
        "from aios_core.cli import streams; streams.repair(); import os, sys; "
        f"file = open({str(tmp_path / 'opened')!r}, 'w'); print('printed'); "
        "sys.stderr.write('said'); os.write(1, b'x'); assert file.fileno() > 2"
    )
    line = f'{sys.executable} -c "{script}" <&- >&- 2>&-'
    done = subprocess.run(["bash", "-c", line], check=False)

    assert 0 == done.returncode
    assert "" == (tmp_path / "opened").read_text()


def test_names_that_are_no_utf8_go_out_as_they_came_in(tmp_path):
    """Fault N14: a name of bytes is shown, and is no traceback."""
    code, _, stderr = shell(rf"aios config check {tmp_path}/$'n\xff.toml'")

    assert 2 == code
    assert b"n\\udcff.toml: no such file" in stderr


def test_json_holds_names_that_are_no_utf8_as_escapes(capsys):
    """Fault N14: a name of bytes does not make JSON that nobody can read."""
    print_json({"file": "n\udcff", "word": "naïve"})
    text = capsys.readouterr().out

    assert {"file": "n\udcff", "word": "naïve"} == json.loads(text.encode())
