"""Every example in every help runs as it stands, in the order of the help, after the examples.

Those and what is trained are made small by another examples/text.toml and examples/demo.toml;
nothing else is changed.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
import tomli_w

from aios_core.cli import cli

ROOT = Path(__file__).parents[3]

ANSWERS = {
    "aios evolve run": (0, 1),  # no level passed
    "aios weights diff": (0, 1),  # they differ
}
"""Exit codes that are an answer."""


def commands(command=cli, path=("aios",)):
    """Every group and command with its path, in the order of the help."""
    context = click.Context(command)
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


def examples(command):
    """The lines of the paragraphs that show command lines."""
    return re.findall(r"^ +((?:[A-Z_]+=\S+ )?(?:aios|pip) .+)$", command.help or "", re.MULTILINE)


ALL = [(path, command) for path, command in commands()]


@pytest.mark.parametrize(
    ("path", "command"), ALL, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_help_has_an_example_of_its_own(path, command):
    """Every help shows how the command is called."""
    shown = examples(command)

    assert shown
    if path != ("aios",):
        assert any(line.split("=", 1)[-1].partition(" ")[2] or line for line in shown)
        assert any(" ".join(path) in line for line in shown)


def small(text):
    """An example, for seconds instead of minutes."""
    values = tomllib.loads(text)
    values["backbone"] |= {"dim": 32, "layers": 1, "heads": 2}
    values["training"] |= {"steps": 60}
    values["sampling"] |= {"num_samples": 4}
    values["evaluation"] |= {"max_tokens": 4200}  # 70 windows, of which calibration asks for 66
    values["ablate"] |= {"sampler.steps": [4, 16], "seed": [0]}
    values["ablate"]["baseline"]["sampler.steps"] = 16
    values["evolution"] = {"base_tolerance": 10.0}  # whatever so small a network forgets
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a user who has run the demo, the one with texts, and its network alone."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copytree(ROOT / "examples", folder / "examples")
    for name in ("README.md", "BENCHMARKS.md", "Cargo.lock"):
        shutil.copy(ROOT / name, folder)
    texts = [(ROOT / name).read_text("utf-8") for name in ("README.md", "CONTRIBUTING.md")]
    (folder / "corpus.txt").write_text("\n\n".join(texts) * 5, "utf-8")
    demo, text = (folder / "examples" / f"{name}.toml" for name in ("demo", "text"))
    demo.write_text(tomli_w.dumps(small(demo.read_text("utf-8"))), "utf-8")
    values = small(text.read_text("utf-8"))
    values["dataset"] = {"type": "file", "path": "../corpus.txt"}
    values["tokenizer"]["vocab_size"] = 400
    text.write_text(tomli_w.dumps(values), "utf-8")
    for name in ("demo", "text"):
        shell(folder, f"aios ablate examples/{name}.toml --output runs/{name}")
    shell(folder, "aios run examples/text.toml --output runs/first")
    return folder


def shell(folder, line, codes=(0,)):
    """Run a line as a user does; what it printed is part of the message when it fails."""
    programs = folder / "bin"
    if not programs.exists():
        programs.mkdir()
        code = "from aios_core.cli import main; main()"
        script = programs / "aios"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
        script.chmod(0o755)
    environ = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "AIOS_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode in codes, f"{line}\nrc {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.walk
@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_every_example_runs_as_it_stands(folder, name):
    """Fault D8 and the first example of `aios sample`: what the help shows can be done."""
    shown = dict.fromkeys(
        line for path, command in ALL if path[1:2] == (name,) for line in examples(command)
    )
    if name == "skill":  # what the examples of evolve left is of any level
        shell(folder, "aios evolve rollback runs/text base")
        shell(folder, "aios evolve run runs/text --texts Cargo.lock --level l2-lora")
    for line in shown:
        codes = next((c for start, c in ANSWERS.items() if start in line), (0,))
        shell(folder, line, codes)


@pytest.mark.walk
@pytest.mark.parametrize(
    ("streams", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0), ("> /dev/full", 2)]
)
@pytest.mark.parametrize("line", [f"{' '.join(path)} --help" for path, _ in ALL])
def test_every_command_survives_its_streams(tmp_path, line, streams, code):
    """Fault N11, N12: closed streams stop nothing, a full one is named; whatever the command."""
    done = shell(tmp_path, f"{line} {streams}", (code,))

    assert ("error: standard output: No space left on device\n" if code else "") == done.stderr


WORK = [
    "aios run examples/demo.toml --output runs/streams",
    "aios sample runs/demo",
    "aios evaluate runs/demo",
    "aios ablate examples/demo.toml --output runs/demo",
    "aios memory add examples/notes.jsonl --store runs/streamed --existing skip",
    "aios weights ls runs/none.parquet",
]


@pytest.mark.walk
@pytest.mark.parametrize("streams", ["2>&-", ">&- 2>&-", "2>/dev/full"])
@pytest.mark.parametrize("line", WORK)
def test_work_is_done_whatever_the_streams(folder, line, streams):
    """Fault N11: a run with closed streams trains, and a failure has its exit code."""
    shell(folder, f"{line} {streams}", (2 if "none" in line else 0,))

    if "runs/streams" in line:
        assert (folder / "runs" / "streams" / "checkpoints" / "latest").is_file()
