"""`aios evolve`, as a user meets it."""

import json

import pytest

from aios_core.config import resolve
from aios_core.training.trainer import train

UP = "".join(f"{n} {n + 1} {n + 2} and " for n in range(100, 999))
DOWN = "".join(f"{n} {n - 1} {n - 2} but " for n in range(998, 99, -1))
SMALL = ("evolution.steps=40", "evolution.windows=24", "evolution.base_tolerance=1.0")


@pytest.fixture
def run(aios, tmp_path):
    (tmp_path / "up.txt").write_text(UP)
    (tmp_path / "down.txt").write_text(DOWN)
    values = {
        "dataset": {"type": "file", "path": str(tmp_path / "up.txt")},
        "tokenizer": {"type": "bytes"},
        "backbone": {"type": "transformer", "dim": 32, "layers": 1, "heads": 2},
        "diffusion": {"length": 16},
        "training": {"steps": 60, "batch_size": 16, "learning_rate": 0.005},
        "levels": [{"type": "l2-lora"}],
    }
    train(resolve(values), tmp_path / "run", progress=False)
    return "run"


def test_a_model_adapts_is_looked_at_and_is_taken_back(aios, run):
    words = [word for setting in SMALL for word in ("--set", setting)]
    (attempt,) = json.loads(aios("evolve", "run", run, "--texts", "down.txt", *words, "--json"))
    skill = attempt["skill_id"]

    assert attempt["accepted"]
    assert attempt["parameters"] < 0.1 * attempt["parameters_total"]
    assert f"HEAD: {skill[:12]}" in aios("evolve", "status", run)
    assert [skill] == json.loads(aios("evolve", "status", run, "--json"))["skills"]
    assert "kept" in aios("evolve", "history", run)
    assert "as they were written" in aios("evolve", "verify", run)
    assert "HEAD: base" in aios("evolve", "rollback", run)
    assert "nothing is before it" in aios("evolve", "rollback", run, code=2)
    assert skill == json.loads(aios("evolve", "rollback", run, skill[:6], "--json"))["head"]
    assert 3 == len(json.loads(aios("evolve", "history", run, "--json")))


def test_evidence_is_taken_from_a_store(aios, run, tmp_path):
    lines = [DOWN[at : at + 90] for at in range(0, len(DOWN), 90)]
    rows = [{"id": n, "text": text, "kind": "feedback"} for n, text in enumerate(lines)]
    rows += [{"id": -1, "text": UP[:600], "kind": "note"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    aios("memory", "add", "rows.jsonl", "--store", "notes")
    words = ["--memories", "notes", *(word for setting in SMALL for word in ("--set", setting))]
    only = ("--filter", "kind = 'feedback'", "--json")
    (attempt,) = json.loads(aios("evolve", "run", run, *words, *only))

    assert attempt["accepted"]
    assert "colour" in aios("evolve", "run", run, *words, "--filter", "colour = 1", code=2)
    assert "expected both" in aios("evolve", "run", run, "--filter", "kind = 'note'", code=2)


def test_evaluation_is_of_head_unless_told_otherwise(aios, run):
    words = [word for setting in SMALL for word in ("--set", setting)]
    (attempt,) = json.loads(aios("evolve", "run", run, "--texts", "down.txt", *words, "--json"))
    words = ("--set", "evaluation.twin=false", "--set", "sampling.num_samples=2")
    head, base = (
        json.loads(aios("evaluate", run, *words, "--json", *more))["model"]
        for more in ((), ("--base",))
    )

    assert (attempt["skill_id"], None) == (head["head"], base["head"])
    # What it was trained on is no likelier to a model that has since learned to count down.
    assert base["metrics"]["nelbo"]["value"] != head["metrics"]["nelbo"]["value"]


def test_what_no_level_can_do_ends_with_1_and_changes_nothing(aios, run):
    words = [word for setting in (*SMALL, "evolution.epsilon=50") for word in ("--set", setting)]

    output = aios("evolve", "run", run, "--texts", "down.txt", *words, code=1)
    assert "rejected" in output
    (entry,) = json.loads(aios("evolve", "history", run, "--json"))
    target = entry["verdict"]["target"]
    shown = f"{target['delta']:+.4f}", f"{target['high']:+.4f}"
    assert f"changes by {shown[0]} nats/token, at most {shown[1]}" in entry["reason"]
    assert all(2 <= output.count(number) for number in shown), "row and reason say the same"
    output = aios("evolve", "run", run, "--texts", "down.txt", *words, code=1)
    assert "expected other evidence, or another seed" in output
    assert "HEAD: base" in aios("evolve", "status", run)


def test_mistakes_are_told(aios, run, tmp_path):
    assert "there is no evidence to adapt to" in aios("evolve", "run", run, code=2)
    assert "nothing.txt" in aios("evolve", "run", run, "--texts", "nothing.txt", code=2)
    output = aios("evolve", "run", run, "--texts", "down.txt", "--level", "l2-lorra", code=2)
    assert "did you mean" in output
    assert "l2-lora" in output
    assert "no version begins with 'abc'" in aios("evolve", "rollback", run, "abc", code=2)
    (tmp_path / "run" / "evolution" / "HEAD").write_text("../../x")
    assert "expected the id of a version" in aios("evolve", "status", run, code=2)
