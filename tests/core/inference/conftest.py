"""A run of both modes, hardly trained."""

import pytest
import torch

from aios_core.config import resolve, twin
from aios_core.inference import ArrowEngine
from aios_core.training.trainer import train


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inference")
    (folder / "corpus.txt").write_text("a bottle of milk, and another. " * 100)
    patch = pytest.MonkeyPatch()
    patch.setenv("AIOS_CACHE", str(folder / "cache"))
    torch.set_num_threads(1)
    resolved = resolve(
        {
            "dataset": {"type": "file", "path": str(folder / "corpus.txt")},
            "tokenizer": {"type": "bytes"},
            "backbone": {"type": "transformer", "dim": 32, "layers": 2, "heads": 2},
            "diffusion": {"length": 24},
            "training": {"steps": 20, "batch_size": 8},
            "sampler": {"type": "ancestral", "steps": 6},
            "sampling": {"batch_size": 3},
        }
    )
    train(resolved, folder / "run", progress=False)
    train(twin(resolved), folder / "run" / "twin", progress=False)
    patch.undo()
    return folder / "run"


@pytest.fixture(scope="session")
def engine(run):
    return ArrowEngine.load(run)
