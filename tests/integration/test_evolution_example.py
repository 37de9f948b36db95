"""The experiment of ``examples/evolution.toml``, small: it runs, and its report shows enough."""

import csv
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from aios_core.cli import cli

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = {
    "backbone.dim": 32,
    "backbone.layers": 2,
    "backbone.heads": 2,
    "diffusion.length": 16,
    "training.steps": 4,
    "training.batch_size": 4,
    "sampling.num_samples": 1,
    "sampler.steps": 2,
    "evaluation.max_tokens": 256,
    "executor.type": "serial",
}
MEASURES = ["target_gain", "base_loss", "adapted_share", "adaptation_bytes", "adaptation_seconds"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "examples").mkdir()
    for file in EXAMPLES.glob("evolution*.toml"):
        shutil.copy(file, tmp_path / "examples")
    words = "".join(f"{n} bottles of milk on the wall, {n} bottles of milk.\n" for n in range(200))
    (tmp_path / "input.txt").write_text(words)
    return tmp_path


def aios(*words, **settings):
    pairs = [f"--set={key}={value}" for key, value in (SMALL | settings).items()]
    done = CliRunner().invoke(cli, [*words, *pairs], prog_name="aios")
    assert 0 == done.exit_code, done.output
    return done.stdout


@pytest.mark.slow
def test_levels_and_controls_are_compared(folder):
    aios("run", "examples/evolution-expert.toml", "--output", "runs/expert")
    few = {"evolution.steps": 2, "evolution.windows": 16, "evolution.draws": 1}
    few |= {"evolution.fitting_windows": 32, "ablate.seed": [0, 1], "dataset.path": "input.txt"}
    output = aios("ablate", "examples/evolution.toml", "--output", "runs/evolution", **few)
    results = folder / "runs" / "evolution"
    with (results / "table.csv").open() as file:
        rows = {row["evolution.level"]: row for row in csv.DictReader(file)}
    names = {"full", "l0-mixing", "l1-control", "l2-lora", "l3-unfreeze", "random-tensors"}

    assert names == rows.keys()
    assert "0 failed" in output
    for name in MEASURES:
        assert name in output
        assert f"| {name}" in (results / "table.md").read_text()
        assert f">{name}" in (results / "report.html").read_text()
        assert all(row[f"{name}_n"] == "2" for row in rows.values())
    assert 100 == float(rows["full"]["adapted_share"])
    assert all(float(row["adapted_share"]) < 10 for n, row in rows.items() if n != "full")
    assert all(float(row["adaptation_seconds"]) > 0 for row in rows.values())
