from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from aios_core.cli import cli

MAIN = "from aios_core.cli import main; main()"

CONFIG = """
name = "tiny"

[dataset]
type = "file"
path = "corpus.txt"

[tokenizer]
type = "bytes"

[backbone]
type = "transformer"
dim = 32
layers = 1
heads = 2

[diffusion]
length = 16

[training]
steps = 6
batch_size = 4
warmup_steps = 2

[sampler]
steps = 4

[sampling]
num_samples = 2
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A folder with a configuration and its text, where the command runs."""
    (tmp_path / "tiny.toml").write_text(CONFIG)
    (tmp_path / "corpus.txt").write_text("a bottle of milk, and another. " * 100)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)
    for handler in list(logging.getLogger().handlers):
        if type(handler).__module__ == "aios_core.logs":
            logging.getLogger().removeHandler(handler)


def aios(*arguments, code=0):
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert code == result.exit_code, result.output
    return result


def weights(folder, part="weights"):
    name = (folder / "checkpoints" / "latest").read_text()
    return (folder / "checkpoints" / name / f"{part}.safetensors").read_bytes()


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_trains_and_measures_a_run_and_its_twin(project):
    shown = aios("run", "tiny.toml").stdout
    folder = project / "runs" / "tiny"

    for word in ("nelbo", "nll", "entropy", "nats/token", "runs/tiny"):
        assert word in shown
    assert {path.name for path in folder.iterdir()} == {
        "checkpoints",
        "evaluation.json",
        "metrics.jsonl",
        "run.lock.toml",
        "run.log",
        "tokenizer",
        "twin",
    }
    log = (folder / "run.log").read_text().splitlines()
    assert all(json.loads(line)["level"] for line in log)


def test_what_will_be_trained_is_said_before_and_how_long_it_takes(project):
    """Everything else of section 2: a run's start reported nothing; old losses came again."""
    said = aios("run", "tiny.toml", "--set", "training.evaluate_every=3").stderr

    assert "2,791 tokens in 1 row to train on, 311 tokens in 1 row held out, 0 of" in said
    assert "held-out losses on the way are of at most 64 windows, each under one draw" in said
    assert "6 steps of 4 x 16 tokens are 0.137 epochs, in about 0:00:0" in said
    assert "then 6 steps of its autoregressive twin" in said
    assert "step 6 of 6, loss" in said
    assert "0:00:00 left" in said


def test_json_is_json(project):
    report = json.loads(aios("run", "tiny.toml", "--json", "--output", "out").stdout)

    assert report["folder"] == "out"
    assert report["checkpoint"] == "out/checkpoints/step-000006"
    assert report["metrics"]["model"]["nelbo"]["value"] > 0


def test_without_a_twin(project):
    aios("run", "tiny.toml", "--set", "evaluation.twin=false")

    assert not (project / "runs" / "tiny" / "twin").exists()


def test_the_second_time_only_measures(project):
    aios("run", "tiny.toml")
    before = weights(project / "runs" / "tiny", "optimizer")
    again = aios("run", "tiny.toml", "--set", "sampler.steps=2")

    assert "step" not in again.stderr
    assert before == weights(project / "runs" / "tiny", "optimizer")


def test_another_configuration_is_refused(project):
    aios("run", "tiny.toml")
    before = contents(project / "runs")
    refused = aios("run", "tiny.toml", "--set", "seed=1", code=2)

    assert "holds a run of another configuration" in refused.stderr
    assert before == contents(project / "runs")


def test_fresh_begins_again_and_touches_nothing_else(project):
    aios("run", "tiny.toml", "--output", "out")
    before = weights(project / "out")
    (project / "out" / "notes.txt").write_text("mine")
    aios("run", "tiny.toml", "--output", "out", "--fresh", "--set", "seed=1")

    assert (project / "out" / "notes.txt").read_text() == "mine"
    assert before != weights(project / "out")


def test_a_lock_file_repeats_its_run(project):
    aios("run", "tiny.toml", "--output", "one", "--set", "seed=3")
    aios("run", "one/run.lock.toml", "--output", "two")

    for part in ("weights", "ema", "optimizer"):
        assert weights(project / "one", part) == weights(project / "two", part)


def test_a_lock_file_is_not_repeated_on_other_texts(project):
    aios("run", "tiny.toml", "--output", "one")
    with Path("corpus.txt").open("a") as file:
        file.write("one more line")
    refused = aios("run", "one/run.lock.toml", "--output", "two", code=2)

    assert "are not those of the run" in refused.stderr
    assert not (project / "two").exists()


def test_a_lock_file_is_repeated_with_other_plugins_only_if_allowed(project):
    aios("run", "tiny.toml", "--output", "one")
    lock = project / "one" / "run.lock.toml"
    version = f'version = "{metadata.version("ai-os-diffusion")}"'
    lock.write_text(lock.read_text().replace(version, 'version = "9.9"'))
    refused = aios("run", str(lock), "--output", "two", code=2)
    allowed = aios("run", str(lock), "--output", "two", "--allow-changes")

    assert "the run used ai-os-diffusion 9.9" in refused.stderr
    assert "--allow-changes" in refused.stderr
    assert "9.9" in allowed.stderr
    plain = aios("run", "tiny.toml", "--allow-changes", code=2)  # Fault T8: never ignored
    assert "--allow-changes holds for the run.lock.toml of a run" in plain.stderr
    assert weights(project / "one") == weights(project / "two")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, "corpus.txt: no such file"),
        (b"", "two rows or characters at least, one of them to hold out, got 1 rows of 0 char"),
        (b"a", "two rows or characters at least, one of them to hold out, got 1 rows of 1 char"),
        (b"\xff" * 100, "corpus.txt: byte 0 (0xff) is not utf-8"),
    ],
)
def test_bad_texts(project, data, expected):
    path = project / "corpus.txt"
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    refused = aios("run", "tiny.toml", code=2)

    assert expected in refused.stderr
    assert not (project / "runs" / "tiny" / "checkpoints").exists()


def test_a_short_text_is_a_document_and_no_stream(project):
    """The one is filled up, the other has no window."""
    (project / "corpus.txt").write_bytes(b"too short")
    few = ("--set", "training.steps=1")
    refused = aios("run", "tiny.toml", *few, "--set", "diffusion.packing=stream", code=2)

    assert "fewer than diffusion.length = 16" in refused.stderr
    assert not (project / "runs" / "tiny" / "checkpoints").exists()
    assert "9 tokens in 1 row to train on" in aios("run", "tiny.toml", *few).stderr


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.steps=0", "training.steps"),
        ("training.batch_size=0", "training.batch_size"),
        ("training.learning_rate=-1", "training.learning_rate"),
        ("training.learning_rate=nan", "training.learning_rate"),
        ("training.device=no-such", "training.device"),
        ("training.learning_rate=1e30", "the loss is"),
        ("dataset.type=no-such", "no-such"),
    ],
)
def test_bad_settings(project, override, expected):
    wild = ("--set", "training.clip_norm=1e30")

    assert expected in aios("run", "tiny.toml", *wild, "--set", override, code=2).stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_with_130_and_it_goes_on(project, number):
    longer = ("--set", "training.steps=3000", "--set", "evaluation.twin=false")
    command = [sys.executable, "-c", MAIN, "run", "tiny.toml", *longer]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        for line in child.stderr:
            if "step 300 of 3000" in line:
                child.send_signal(number)
                break
        said = child.stderr.read()
    assert child.returncode == 130
    assert "the same command goes on from there" in said
    assert "Traceback" not in said

    state = project / "runs" / "tiny" / "checkpoints"
    step = int((state / "latest").read_text().removeprefix("step-"))
    assert 300 <= step < 3000


def test_weights_that_a_run_is_to_begin_with_are_not_thrown_away(project):
    """Nor is a run of other weights taken for it."""
    runner = CliRunner()
    small = ["--set", "evaluation.twin=false", "--set", "metrics=[]"]
    done = runner.invoke(cli, ["run", "tiny.toml", "--output", "first", *small])
    assert 0 == done.exit_code, done.output
    begins = [*small, "--set", "training.init_from=first"]
    done = runner.invoke(cli, ["run", "tiny.toml", "--output", "first", "--fresh", *begins])
    assert 1 < done.exit_code
    assert "training.init_from: " in done.output
    assert "first: is in first, which --fresh would empty; expected another --output" in done.output
    assert (project / "first" / "checkpoints" / "latest").exists()
    done = runner.invoke(cli, ["run", "tiny.toml", "--output", "second", *begins])
    assert 0 == done.exit_code, done.output
    assert "first: begins with 8 of its network's 8 tensors" in done.output
    done = runner.invoke(cli, ["run", "second/run.lock.toml", "--output", "third"])
    assert 0 == done.exit_code, done.output
    first, other = (
        project / name / "checkpoints" / "step-000006" / "weights.safetensors"
        for name in ("second", "third")
    )
    assert first.read_bytes() == other.read_bytes()
    assert 0 == runner.invoke(cli, ["evaluate", "third", "--set", "sampler.steps=2"]).exit_code
