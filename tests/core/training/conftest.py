"""A run so small that it is trained in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from aios_core.config import Resolved, resolve
from aios_core.registry import Registry

TEXT = "".join(f"{n} bottles of milk on the wall, {n} bottles of milk.\n" for n in range(200))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def installed() -> Registry:
    return Registry.discover()


@pytest.fixture
def corpus(tmp_path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def tiny(corpus, installed):
    """A function that resolves the small run under overrides such as ``training.steps=3``."""
    values: dict[str, Any] = {
        "name": "tiny",
        "dataset": {"type": "file", "path": str(corpus)},
        "tokenizer": {"type": "bytes"},
        "backbone": {"type": "transformer", "dim": 32, "layers": 1, "heads": 2},
        "diffusion": {"length": 16},
        "training": {"steps": 6, "batch_size": 4, "warmup_steps": 2, "checkpoint_every": 3},
    }

    def tiny(*overrides: str) -> Resolved:
        return resolve(values, overrides=overrides, registry=installed)

    return tiny
