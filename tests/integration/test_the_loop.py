"""From store to store: memories, texts written with them, uncertainty, evolution, and skills."""

import json

import pytest
from click.testing import CliRunner

from aios_core.cli import cli

UP = [f"{n} {n + 1} {n + 2} and on to {n + 3}" for n in range(100, 1100)]
DOWN = [f"{n} {n - 1} {n - 2} but down to {n - 3}" for n in range(500, 100, -1)]
CONFIG = """
[dataset]
type = "file"
path = "up.jsonl"
[tokenizer]
type = "bytes"
[backbone]
dim = 32
layers = 2
heads = 2
[diffusion]
length = 24
[memory]
k = 2
store = "notes"
[training]
steps = 300
batch_size = 16
learning_rate = 5e-3
[evaluation]
twin = false
draws = 1
[sampling]
num_samples = 1
[sampler]
steps = 6
[evolution]
steps = 40
windows = 16
draws = 2
base_tolerance = 2.0
[[levels]]
type = "l1-control"
"""


@pytest.fixture
def aios(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))

    def aios(*words):
        done = CliRunner().invoke(cli, words, prog_name="aios")
        assert 0 == done.exit_code, done.output
        return done.stdout

    return aios


@pytest.mark.slow
def test_it_closes(aios, tmp_path):
    rows = [{"id": f"{n:04}", "text": text, "kind": "feedback"} for n, text in enumerate(DOWN)]
    for name, lines in (("up", [{"text": text} for text in UP]), ("down", rows)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text)
    (tmp_path / "config.toml").write_text(CONFIG)
    aios("memory", "add", "down.jsonl", "--store", "notes")
    aios("run", "config.toml", "--output", "run")

    def written(*words):
        output = aios("sample", "run", "--prompt", "300 2", "--memory", "notes", *words, "--json")
        return json.loads(output)

    # Store -> conditioning -> generation: it says which memories it was written with.
    first = written()
    assert 2 == len(first[0]["memories"])
    # -> uncertainty: of the texts of another kind, those that it is unsure of go into a store.
    aios("uncertainty", "calibrate", "run", "--windows", "100")
    (tmp_path / "texts.txt").write_text(f"{UP[0][:24]}\nZWEI&VIER|ACHT?ZWOELF?X!\n")
    aios("uncertainty", "score", "run", "texts.txt", "--keep", "doubts")
    assert "ZWEI&VIER" in aios("memory", "search", "zwei", "--store", "doubts", "--json")
    # -> evolution: it learns from a store, behind the gate.
    evidence = ("--memories", "notes", "--filter", "kind = 'feedback'")
    (attempt,) = json.loads(aios("evolve", "run", "run", *evidence, "--json"))
    assert attempt["accepted"], attempt["reason"]
    # -> store: the skill is found by context, and texts are written with it and with memories.
    report = json.loads(aios("skill", "ls", "run", "--like", "l1-control", "--json"))
    assert [attempt["skill_id"]] == [card["skill_id"] for card in report]
    assert 2 == len(written("--block-size", "6")[0]["memories"])
