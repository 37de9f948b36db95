"""Signals that end a long command: what is done is kept, and said."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from aios_core.config.schema import RUNS

CONFIG = """
dataset = {type = "file", path = "corpus.txt"}
tokenizer = {type = "bytes"}
backbone = {dim = 32, layers = 1, heads = 2}
diffusion = {length = 16}
sampling = {num_samples = 2}
evaluation = {twin = false}
executor = {type = "serial"}
"""
TEXT, EVIDENCE = (
    "".join(f"{n} bottles of {what} on the wall, {n} bottles of {what}.\n" for n in range(bottles))
    for what, bottles in (("milk", 200), ("beer", 600))
)
MAIN = "from aios_core.cli import main; main()"


def stopped(folder, number, line, *words, start=()):
    """Run a command, send it a signal when it prints a line, and give its end and what it said."""
    command = [*start, sys.executable, "-c", MAIN, *words]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as child:
        for said in child.stderr:
            if line in said:
                child.send_signal(number)
                break
        rest = child.stderr.read()
    assert "Traceback" not in rest, rest
    return child.returncode, rest


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "corpus.txt").write_text(TEXT)
    (tmp_path / "run.toml").write_text(CONFIG)
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.slow
def test_a_lost_terminal_saves_the_step(project):
    """Fault N11: `aios run`, whose help promises it for Ctrl-C; test_run.py tries TERM."""
    steps = ("--set", "training.steps=3000")
    code, said = stopped(project, signal.SIGHUP, "step 300 of", "run", "run.toml", *steps)

    assert 130 == code
    assert "the same command goes on from there" in said
    step = (project / RUNS / "run" / "checkpoints" / "latest").read_text()
    assert 300 <= int(step.removeprefix("step-")) < 3000


@pytest.mark.slow
def test_an_ablation_and_an_evolution_say_what_is_kept(project):
    """Fault N11: TERM ended both without a word, and so did a lost terminal."""
    (project / "grid.toml").write_text(
        CONFIG + 'training = {steps = 100000}\n[ablate]\n"noise.type" = ["loglinear", "cosine"]\n'
    )
    code, said = stopped(
        project, signal.SIGHUP, "started: ", "ablate", "grid.toml", "--output", "grid"
    )
    assert (130, True) == (code, "What is done is kept" in said), said

    words = ["run", "run.toml", "--output", "run", "--set", "training.steps=5"]
    subprocess.run([sys.executable, "-c", MAIN, *words], cwd=project, check=True)
    (project / "evidence.txt").write_text(EVIDENCE)
    words = ["evolve", "run", "run", "--texts", "evidence.txt", "--level", "l2-lora"]
    more = ["--set", "evolution.steps=100000", "--set", "evolution.windows=16"]
    code, said = stopped(project, signal.SIGTERM, "l2-lora: ", *words, *more)
    assert (130, True) == (code, "what is done is kept: HEAD is base" in said), said


@pytest.mark.slow
def test_a_command_under_nohup_goes_on_without_its_terminal(project):
    """Fault N11: who asked for SIGHUP to be ignored is not interrupted by it."""
    steps = ("--set", "training.steps=400")
    words = ("step 40 of", "run", "run.toml", *steps)
    code, _ = stopped(project, signal.SIGHUP, *words, start=("nohup",))

    assert 0 == code
    assert "step-000400" == (project / RUNS / "run" / "checkpoints" / "latest").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_an_import_ends_the_process_without_a_word(tmp_path, number):
    """A traceback, an abort by a compiled module, or one that could not be imported again."""
    (tmp_path / "slow.py").write_text(
        f"import os, signal, time\nos.kill(os.getpid(), {int(number)})\ntime.sleep(60)\n"
    )
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from aios_core.cli import signals; signals.interrupt(); import slow"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert (-number, "") == (done.returncode, done.stderr)
