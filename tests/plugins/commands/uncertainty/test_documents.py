"""Texts of a run that has learned where documents begin: each stands behind a begin token."""

import json
import random

import pytest

from aios_core.config import resolve
from aios_core.contracts import Sequences
from aios_core.errors import InferenceError
from aios_core.inference import ArrowEngine
from aios_core.training.data import prepare
from aios_core.training.trainer import train
from aios_plugins._uncertainty import estimators
from aios_plugins._uncertainty.calibration import Calibration
from aios_plugins.commands.uncertainty import screening
from aios_plugins.commands.uncertainty.calibrate import _windows, calibrate_run
from aios_plugins.commands.uncertainty.screening import score_texts
from aios_plugins.commands.uncertainty.windows import held_out

LENGTH = 16


@pytest.fixture(scope="module")
def configuration(folder, values):
    draw, path = random.Random(0), folder / "documents.jsonl"
    texts = [
        f"{draw.randrange(100)} bottles of milk. "[: draw.randrange(3, 24)] for _ in range(900)
    ]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    (folder / "lines.txt").write_text("ZWEI&VIER|ACHT?" * 80)
    made = values(path)
    training = made["training"] | {"steps": 300, "learning_rate": 3e-3}
    return resolve(made | {"diffusion": {"length": LENGTH}, "training": training})


@pytest.fixture(scope="module")
def documents(folder, configuration):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIOS_CACHE", str(folder / "cache"))
        train(configuration, folder / "documents", progress=False)
        calibrate_run(folder / "documents", against=folder / "lines.txt", windows=60)
    return ArrowEngine.load(folder / "documents").models["diffusion"]


@pytest.fixture
def asked(monkeypatch):
    """What `read` was given."""
    seen = []

    def watched(model, texts, **settings):
        seen.append(texts)
        return estimators.read(model, texts, **settings)

    monkeypatch.setattr(screening, "read", watched)
    return seen


def test_the_first_window_of_a_text_begins_with_a_begin_token(documents, asked):
    """It is given: never hidden, and no part of a score; later windows have none."""
    text = "12 bottles of milk, and 7 more"
    (scored,) = score_texts(documents, [text], readings=2)
    windows, bos_id = asked[0], documents.model.vocabulary.bos_id

    assert (2, 2) == (scored.windows, len(windows))
    assert [[bos_id], []] == [row[~part].tolist() for row, part in given(windows)]
    assert len(text) == int(windows.sizes.sum())
    for level in estimators.read(documents.model, windows):
        assert not (level.hidden & ~windows.targets).any()


def given(windows):
    return [
        (ids[valid], targets[valid])
        for ids, valid, targets in zip(windows.ids, windows.valid, windows.targets, strict=True)
    ]


def test_texts_are_read_as_the_network_reads_them(documents, configuration):
    """Those like what it has learned from are less surprising behind a begin token."""
    windows = held_out(prepare(configuration).held_out)
    windows = windows[windows.ids[:, 0] == documents.model.vocabulary.bos_id][:128]
    nats = []
    for first in (0, 1):
        parts = (tensor[:, first:] for tensor in (windows.ids, windows.valid, windows.targets))
        levels = estimators.read(documents.model, Sequences(*parts), seed=1)
        nats.append(sum(float(level.mean(-level.said).mean()) for level in levels))

    assert nats[0] < 0.9 * nats[1]


def test_it_is_calibrated_on_texts_as_they_are_scored(documents, configuration, asked):
    """The windows of held-out documents are those that `score_texts` makes of their texts."""
    split = prepare(configuration).held_out
    windows = held_out(split)
    texts = [split.row(number, documents.tokenizer).text for number in range(len(split.rows))]
    score_texts(documents, texts, readings=2)
    scored = [tuple(row.tolist()) for part in asked for row, _ in given(part)]
    calibrated = [tuple(row.tolist()) for row, _ in given(windows)]
    bos_id, eos_id = (getattr(documents.model.vocabulary, f"{name}_id") for name in ("bos", "eos"))

    assert {*calibrated} <= {*scored}
    assert len(texts) <= len(calibrated)
    assert {bos_id} == {row[0] for row in calibrated if len(row) < LENGTH}, "whole documents"
    assert not any(eos_id in row for row in calibrated)
    assert 5 > min(map(len, calibrated))
    total = (windows.valid & ~windows.targets).sum()
    assert int(total) == sum(row[0] == bos_id for row in calibrated)


def test_texts_like_those_of_the_training_seldom_trigger(documents):
    like = [f"{number} bottles of m" for number in range(20, 60)]
    scored = score_texts(documents, [*like, "ZWEI&VIER|ACHT?"])

    assert sum(score.triggered for score in scored[:-1]) <= 4
    assert scored[-1].triggered
    assert Calibration.load(documents.run_folder / "uncertainty.json").texts > 30


def test_spans_count_from_the_text(documents):
    texts = ["12 bottles of m", "34 b"]
    whole = score_texts(documents, texts)

    assert whole == score_texts(documents, texts, span=slice(0, LENGTH))
    first = score_texts(documents, texts, span=slice(0, 1))
    assert all(score.score == score.score for score in first)
    with pytest.raises(InferenceError, match="text 1: expected 1 to 15 tokens, got 16"):
        score_texts(documents, ["12 bottles of mi"], span=slice(0, 1))


def test_a_file_is_a_text_too(documents, folder):
    windows = _windows(folder / "lines.txt", documents)
    bos_id = documents.model.vocabulary.bos_id

    assert bool(windows.valid.all())
    assert [True] + [False] * (len(windows) - 1) == (windows.ids == bos_id).any(-1).tolist()
    assert windows.targets[0].tolist() == [False] + [True] * (LENGTH - 1)
