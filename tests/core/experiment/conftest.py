"""An ablation so small that it runs in seconds, in this process unless a test says otherwise."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from aios_core.experiment import ablate, write_reports
from aios_core.experiment.plan import make_plan
from aios_core.experiment.results import read, write_about

WORDS = "".join(f"{n} bottles of milk on the wall, {n} bottles of milk.\n" for n in range(120))

TOML = """
name = "tiny"
[dataset]
type = "file"
path = "corpus.txt"
[tokenizer]
type = "bytes"
[backbone]
dim = 32
layers = 1
heads = 2
[diffusion]
length = 16
[training]
steps = 12
batch_size = 4
warmup_steps = 2
log_every = 2
[sampling]
num_samples = 4
[evaluation]
max_tokens = 400
draws = 1
[executor]
type = "serial"
"""

GRID = """
[ablate]
"noise.type" = ["loglinear", "cosine"]
"sampler.steps" = [2, 4]
seed = [0, 1]
"""


def write_config(folder: Path, ablate_table: str = GRID, extra: str = "") -> Path:
    """Write the configuration and its corpus."""
    (folder / "corpus.txt").write_text(WORDS, encoding="utf-8")
    path = folder / "ablation.toml"
    path.write_text(TOML + extra + ablate_table, encoding="utf-8")
    return path


def run_plan(plan):
    """Run a plan; returns its events and what was found."""
    events = []
    write_about(plan, command="aios ablate", started=datetime(2026, 1, 1, tzinfo=UTC), seconds=1.0)
    ablate.run(plan, events.append)
    return events, read(plan.folder)


@pytest.fixture(name="write_config")
def _write_config():
    return write_config


@pytest.fixture(name="run_plan")
def _run_plan():
    return run_plan


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The grid, run once for all tests that only read it: plan, events and results."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIOS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        plan = make_plan(write_config(folder), folder / "out")
        events, results = run_plan(plan)
        write_reports(results)
    return plan, events, results
