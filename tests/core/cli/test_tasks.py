"""`[tasks]` and `evaluation.task` through the commands: a mixture trains, and any task measures."""

from __future__ import annotations

import csv
import json
import random

import pytest
from click.testing import CliRunner

from aios_core.cli import cli

CONFIG = """
name = "tiny"

[dataset]
type = "file"
path = "pairs.csv"
prompt = "question"
answer = "answer"
prompt_role = "target"

[tokenizer]
type = "bytes"

[backbone]
dim = 32
layers = 1
heads = 2

[diffusion]
length = 16

[training]
steps = 6
batch_size = 4

[sampler]
steps = 4

[sampling]
num_samples = 2

[tasks]
answer = { given = ["prompt"], weight = 2 }
question = { given = ["answer"] }
alone = { absent = ["prompt"] }
whole = {}
"""


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """A folder where the rows are sums with results."""
    draw = random.Random(0)
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("question", "answer"))
        numbers = [(draw.randrange(50), draw.randrange(50)) for _ in range(300)]
        writer.writerows((f"{a}+{b}=", a + b) for a, b in numbers)
    (tmp_path / "tiny.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def aios(*arguments, code=0):
    result = CliRunner().invoke(cli, arguments)
    assert code == result.exit_code, result.output
    return result


def measured(*words):
    return json.loads(aios("evaluate", "runs/tiny", "--json", *words).stdout)["model"]


def test_a_run_trains_a_mixture_and_each_task_is_measured(pairs):
    """By request on rows as the task turns them; tokens are those that are left to learn."""
    aios("run", "tiny.toml", "--set", "evaluation.twin=false")
    whole = measured()
    tokens = {}
    for task in ("answer", "question", "alone", "whole"):
        model = measured("--set", f"evaluation.task={task}")
        tokens[task] = model["tokens"]
        assert model["metrics"]["nelbo"]["value"] > 0
    rows = 30

    assert whole["tokens"] == tokens["whole"] == tokens["answer"] + tokens["question"] - rows
    assert tokens["answer"] == tokens["alone"], "of which one is given the prompt"
    assert "answer" in (pairs / "runs" / "tiny" / "run.lock.toml").read_text()


def test_a_run_may_be_measured_by_a_task_from_the_start(pairs):
    report = json.loads(
        aios("run", "tiny.toml", "--json", "--set", "evaluation.task=answer").stdout
    )
    later = measured("--set", "evaluation.task=answer")

    assert report["metrics"]["model"]["nelbo"] == later["metrics"]["nelbo"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("evaluation.task=anser", "evaluation: task: 'anser' is none of [tasks]; expected answer"),
        ("tasks={a={given=['x']}}", "tasks.a: no row of the training split has targets named x"),
        ("tasks={a={given=['x'],absent=['x']}}", "'x' is given as well as absent"),
        ("tasks={a={gven=['prompt']}}", "tasks.a.gven: unknown key; did you mean 'given'?"),
        ("tasks.answer.weight=0", "tasks.answer.weight"),
        ("diffusion.packing=stream", "expected diffusion.packing = 'documents'"),
        ("dataset.prompt_role=given", "has targets named prompt, and another target that is left"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_a_step(pairs, setting, message):
    error = aios("run", "tiny.toml", "--set", setting, code=2).stderr

    assert message in error
    assert not (pairs / "runs" / "tiny" / "checkpoints").exists()


def test_a_task_that_a_run_does_not_have_is_refused_with_those_that_it_has(pairs):
    aios("run", "tiny.toml", "--set", "evaluation.twin=false")
    error = aios("evaluate", "runs/tiny", "--set", "evaluation.task=anser", code=2).stderr

    assert "evaluation: task: 'anser' is none of [tasks]; expected answer, question, alone" in error
