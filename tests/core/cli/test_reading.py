"""Who reads a run does not write to it, and measures it on what it was trained on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from aios_core.cli import cli
from aios_core.config.lock import lock_fault
from aios_core.inference import ArrowEngine
from aios_core.training.checkpoint import latest
from aios_plugins.commands.uncertainty.screening import score_texts

CONFIG = """
dataset = {type = "file", path = "corpus.txt"}
tokenizer = {type = "bytes"}
backbone = {dim = 32, layers = 1, heads = 2}
diffusion = {length = 16}
training = {steps = 6, batch_size = 4, warmup_steps = 2, checkpoint_every = 3}
sampler = {steps = 2}
sampling = {num_samples = 2}
evaluation = {draws = 1}
evolution = {steps = 2, windows = 16, draws = 1}
"""
TEXT = "".join(f"{n} bottles of milk on the wall, {n} bottles of milk.\n" for n in range(200))
READING = [
    ("evaluate", "run"),
    ("evaluate", "run", "--set", "sampler.steps=1"),
    ("evaluate", "run", "--set", "sampler.type=confidence"),
    ("sample", "run", "--num", "2"),
    ("sample", "run", "--mode", "ar"),
    ("probe", "run", "--data", "--metric", "norm"),
    ("quantize", "run", "--quality", "calibrated", "--texts", "4", "--output", "small.parquet"),
    ("uncertainty", "score", "run", "--text", "one bottle"),
    ("evolve", "status", "run"),
    ("evolve", "history", "run"),
    ("evolve", "verify", "run"),
    ("skill", "ls", "run"),
    ("verify", "run"),
]


def aios(*words, code=0):
    done = CliRunner().invoke(cli, [*map(str, words)], prog_name="aios")
    assert code in (None, done.exit_code), done.output
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run with its twin, calibrated, beside its corpus."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "corpus.txt").write_text(TEXT)
    (folder / "run.toml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("AIOS_CACHE", str(folder / "cache"))
        aios("run", "run.toml", "--output", "run")
        aios("uncertainty", "calibrate", "run", "--windows", "33")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A copy of all of it, at the place that it was made at as far as its paths say."""
    shutil.copytree(made / "run", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIOS_CACHE", str(made / "cache"))
    return tmp_path


@pytest.fixture
def corpus(made):
    """The corpus of the run, put back afterwards."""
    yield made / "corpus.txt"
    (made / "corpus.txt").write_text(TEXT)


def tree(folder: Path):
    """Every name below a folder with its content, rights and time."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.stat().st_mode,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None,
        )
        for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_reading_commands_leave_a_run_as_it_is(here, command):
    """Fault N5: byte for byte, with rights and times."""
    before = tree(here / "run")
    aios(*command)

    assert before == tree(here / "run")


def test_texts_are_scored_by_the_estimator_that_was_asked_for(here):
    texts = ["one bottle", "bottles of wine"]
    words = ("uncertainty", "score", "run", *(word for text in texts for word in ("--text", text)))
    engine, scores = ArrowEngine.load(here / "run", twin=False), []
    for estimator in ("entropy", "margin", "residual"):
        shown = json.loads(aios(*words, "--estimator", estimator, "--json").stdout)
        result = score_texts(engine.models[engine.mode], texts, estimator=estimator)
        scores.append([each["score"] for each in shown])

        assert [each.score for each in result] == pytest.approx(scores[-1])
    assert scores[0] != scores[1] != scores[2] != scores[0]


UNPRIVILEGED = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"]
"""Root is not asked for rights; without these two capabilities it is."""


def unprivileged(*words, code=0):
    """Run a command in a process that rights hold for."""
    start = [sys.executable, "-c", "from aios_core.cli import main; main()", *words]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root without setpriv: nothing is read-only")
        start = [*UNPRIVILEGED, *start]
    done = subprocess.run(start, capture_output=True, text=True, check=False)
    assert code == done.returncode, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.slow
def test_a_read_only_run_is_measured_and_sampled(here):
    """Fault N5: what cannot be written can be read."""
    folders = [here / "run", *(path for path in (here / "run").rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    try:
        for command in (READING[0], READING[3], ("verify", "run")):
            unprivileged(*command)
    finally:
        for path in folders:
            path.chmod(0o755)


def test_a_twin_that_would_have_to_be_trained_is_asked_for(here):
    """Fault N5: an evaluation trains nothing, and says what does."""
    said = aios("evaluate", "run", "--set", "evaluation.twin_seed=7", code=2).stderr
    assert "run/twin: was trained with seed = 0, expected 7" in said

    shutil.rmtree(here / "run" / "twin")
    before = tree(here / "run")
    assert "there is no twin to judge the samples" in aios("evaluate", "run", code=2).stderr
    aios("evaluate", "run", "--set", "evaluation.twin=false")
    assert before == tree(here / "run")


def test_a_twin_of_other_texts_is_no_judge(here):
    """Fault D2: though its settings are those that are expected."""
    state = latest(here / "run" / "twin") / "state.json"
    values = json.loads(state.read_text())
    values |= {"texts": "0" * len(values["texts"]), "format": 2}
    values.pop("seal", None)
    state.write_text(json.dumps(values))

    assert "was trained on other texts than the run" in aios("evaluate", "run", code=2).stderr


def test_a_run_goes_on_though_a_sampler_is_gone(here, made):
    """Fault N5: what does not train has no say in whether a folder holds the same run."""
    for place in (here / "run", here / "run" / "twin"):
        state = latest(place) / "state.json"
        values = json.loads(state.read_text())
        values["values"]["sampler"] = {"type": "no-longer-installed"}
        values["format"] = 2  # as an older version left it, without a seal
        state.write_text(json.dumps(values))
    aios("evaluate", "run", code=2)
    aios("run", made / "run.toml", "--output", "run")

    aios("evaluate", "run")


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "damage", [flipped, lambda p: p.write_bytes(b""), lambda p: p.write_bytes(p.read_bytes()[:99])]
)
def test_a_damaged_lock_file_is_named_and_mended(here, made, damage):
    """Fault N16: by whoever reads the run; training it again, which does nothing, writes it."""
    lock = here / "run" / "run.lock.toml"
    damage(lock)
    for command in (("sample", "run"), ("evaluate", "run"), ("uncertainty", "calibrate", "run")):
        said = aios(*command, code=2).stderr
        assert f"{Path('run/run.lock.toml')}: is damaged" in said
        assert "`aios run` with the configuration of this run writes it again" in said
    aios("run", made / "run.toml", "--output", "run")

    assert lock_fault(lock) is None
    aios("evaluate", "run")


def test_a_finished_run_keeps_the_record_of_how_it_was_made(here, made):
    """Fault N5: running the same again tells nothing new, so versions of now are not written."""
    lock = here / "run" / "run.lock.toml"
    before = lock.read_bytes(), (here / "run" / "twin" / "run.lock.toml").read_bytes()
    aios("run", made / "run.toml", "--output", "run")

    assert before == (lock.read_bytes(), (here / "run" / "twin" / "run.lock.toml").read_bytes())


def damaged_files(run: Path):
    kept = ("weights.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json")
    for place in (run, run / "twin"):
        yield place / "run.lock.toml"
        yield place / "tokenizer" / "tokenizer.json"
        for folder in (place / "checkpoints").glob("step-*"):
            yield from (folder / name for name in kept)
    yield run / "uncertainty.json"
    yield run / "evaluation.json"
    yield run / "int4.parquet"
    yield from (run / "evolution" / "versions").rglob("*.json")
    yield from (run / "evolution" / "versions").rglob("*.safetensors")


def test_verify_names_every_damaged_file(here):
    """Fault N16: each file in turn, cut short; the run itself is sound."""
    aios("quantize", "run", "--bits", "4")
    aios(
        "evolve",
        "run",
        "run",
        "--texts",
        _texts(here),
        "--set",
        "evolution.base_tolerance=9",
        "--set",
        "evolution.epsilon=0",
        code=None,
    )
    assert "damaged" not in aios("verify", "run").stdout
    files = [path for path in damaged_files(here / "run") if path.exists()]
    assert 20 <= len(files)
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        report = json.loads(aios("verify", "run", "--json", code=None).stdout)
        assert any(path.name in fault for fault in report["faults"]), (path, report["faults"])
        path.write_bytes(whole)
    assert {"faults": []}.items() <= json.loads(aios("verify", "run", "--json").stdout).items()


def _texts(folder: Path) -> Path:
    (folder / "other.txt").write_text(TEXT.replace("milk", "wine"))
    return folder / "other.txt"


READS_TEXTS = [
    ("evaluate", "run"),
    ("probe", "run", "--data"),
    ("quantize", "run", "--quality", "calibrated", "--output", "small.parquet"),
    ("uncertainty", "calibrate", "run"),
    ("evolve", "run", "run", "--texts", "other.txt"),
]


@pytest.mark.parametrize("command", READS_TEXTS, ids=" ".join)
def test_a_changed_corpus_is_refused_by_name(here, corpus, command):
    """Fault D2: one byte of the file is another, and nothing is measured on it."""
    _texts(here)
    corpus.write_text(TEXT.replace("milk", "silk", 1))
    said = aios(*command, code=2).stderr

    assert f"{corpus}: is not the text that" in said
    assert ("--texts FILE" in said) == (command[0] == "evaluate")


def test_other_texts_are_measured_by_the_tokenizer_of_the_run(here):
    """Fault D2: where they are asked for, and the result says so."""
    other = _texts(here)
    own = json.loads(aios("evaluate", "run", "--json").stdout)
    report = json.loads(aios("evaluate", "run", "--texts", other, "--json").stdout)

    assert own["model"]["texts"] is None
    assert str(other) == report["model"]["texts"] == report["twin"]["texts"]
    assert own["model"]["metrics"]["nelbo"] != report["model"]["metrics"]["nelbo"]
    assert f"tokens of {other}" in aios("evaluate", "run", "--texts", other).stdout

    latin = here / "latin.txt"
    latin.write_text(other.read_text(), encoding="utf-16")
    words = ("evaluate", "run", "--texts", latin, "--set", "dataset.encoding=utf-16", "--json")
    again = json.loads(aios(*words).stdout)
    assert again["model"]["metrics"] == report["model"]["metrics"]
    latin.write_bytes(b"caf\xe9")
    assert "dataset.encoding" in aios("evaluate", "run", "--texts", latin, code=2).stderr
    refused = aios("evaluate", "run", "--texts", other, "--set", "dataset.path=x", code=2)
    assert "--texts and --set dataset.path=x set the same" in refused.stderr


def test_a_corpus_may_be_moved(here, corpus):
    """Fault D2: what the texts are counts, and not where they lie."""
    (here / "moved.txt").write_text(TEXT)
    corpus.unlink()

    assert "no such file" in aios("evaluate", "run", code=2).stderr
    aios("evaluate", "run", "--set", "dataset.path=moved.txt")
    _texts(here)
    assert (
        "is not the text"
        in aios("evaluate", "run", "--set", "dataset.path=other.txt", code=2).stderr
    )
