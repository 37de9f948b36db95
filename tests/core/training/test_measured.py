"""Texts that a network is measured on: how they are read, and what they are called."""

from __future__ import annotations

import json

import pytest

from aios_core.errors import DataError
from aios_core.experiment.evaluate import evaluate_run
from aios_core.training import checkpoint
from aios_core.training.measured import others, own
from aios_core.training.trainer import train


def lines(path, *pairs):
    path.write_text("".join(json.dumps({"q": q, "a": a}) + "\n" for q, a in pairs))
    return path


@pytest.fixture
def pairs(tiny, tmp_path):
    """A network of questions and answers, one of which is trained on and held out."""
    known = lines(tmp_path / "train.jsonl", *((f"{n}+1=", str(n + 1)) for n in range(30)))
    held_out = lines(tmp_path / "held.jsonl", ("7+1=", "8"), ("40+1=", "41"))
    resolved = tiny(
        f"dataset={{type='file', path='{known}', validation='{held_out}'}}",
        "dataset.prompt=q", "dataset.answer=a", "training.steps=1", "evaluation.draws=1",
        "evaluation.twin=false", "sampler.steps=1", "sampling.num_samples=2", "metrics=[]",
    )  # fmt: skip
    train(resolved, tmp_path / "run", progress=False)
    return tmp_path / "run"


def test_other_texts_are_read_with_the_columns_of_the_run_and_alone(pairs, tmp_path):
    """No held-out row of the run among them, and a single row is enough."""
    trained = checkpoint.load(pairs)
    single = lines(tmp_path / "one.jsonl", ("5+5=", "10"))
    measured = others(trained, single)
    (row,) = (
        measured.held_out.row(n, trained.tokenizer) for n in range(len(measured.held_out.rows))
    )

    assert ("5+5=", "10") == (row.joined("given"), row.joined("target"))
    assert (1, 2) == (len(measured.held_out.rows), measured.held_out.num_bytes)
    assert str(single) == measured.other
    lines(single, ("5" * 20, "10"))
    with pytest.raises(DataError, match=r"row 1 of .*one\.jsonl has 24 tokens"):
        others(trained, single)


def test_a_test_split_is_measured_where_there_is_one(pairs, tmp_path):
    """It may be named later; it is no held-out figure, and rows trained on are counted."""
    test = lines(tmp_path / "test.jsonl", ("50+1=", "51"), ("8+1=", "9"), ("9+1=", "10"))
    with pytest.raises(DataError, match="has no test split"):
        evaluate_run(pairs, split="test")
    held_out = evaluate_run(pairs)["model"]
    report = evaluate_run(pairs, split="test", overrides=(f"dataset.test={test}",))["model"]
    read = evaluate_run(pairs, texts=test)["model"]

    assert [None, "the test split", str(test)] == [r["texts"] for r in (held_out, report, read)]
    assert [(2, 1), (3, 2), (3, 2)] == [
        (r["rows"], r["trained_on"]) for r in (held_out, report, read)
    ]
    assert [5, 8, 8] == [r["tokens"] for r in (held_out, report, read)]
    trained = checkpoint.load(pairs)
    assert 3 == own(trained).held_out.num_bytes
