"""A run that has learned to count up, and texts that count down."""

import pytest
import torch

from aios_core.config import resolve
from aios_core.training import checkpoint
from aios_core.training.trainer import train

UP = "".join(f"{n} {n + 1} {n + 2} and " for n in range(100, 999))
DOWN = "".join(f"{n} {n - 1} {n - 2} but " for n in range(998, 99, -1))


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evolution")
    (folder / "up.txt").write_text(UP)
    (folder / "down.txt").write_text(DOWN)
    patch = pytest.MonkeyPatch()
    patch.setenv("AIOS_CACHE", str(folder / "cache"))
    torch.set_num_threads(1)
    values = {
        "dataset": {"type": "file", "path": str(folder / "up.txt")},
        "tokenizer": {"type": "bytes"},
        "backbone": {"type": "transformer", "dim": 32, "layers": 1, "heads": 2},
        "diffusion": {"length": 16},
        "training": {"steps": 150, "batch_size": 16, "learning_rate": 0.005},
        "levels": [{"type": "l2-lora"}],
        "evidence": [{"type": "file", "path": str(folder / "down.txt")}],
        "evolution": {"steps": 60, "windows": 24, "draws": 4, "base_tolerance": 1.0},
    }
    train(resolve(values), folder / "run", progress=False)
    patch.undo()
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run, which has never evolved."""
    import shutil

    shutil.copytree(trained / "run", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def loaded(run):
    return checkpoint.load(run)


@pytest.fixture
def settings(loaded):
    """A function that resolves the run's configuration under overrides."""
    return lambda *overrides: resolve(loaded.state.values, overrides=overrides)
