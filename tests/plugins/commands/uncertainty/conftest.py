"""A run with enough held-out text to calibrate."""

import json

import pytest
from click.testing import CliRunner

from aios_core.cli import cli
from aios_core.config import resolve
from aios_core.inference import ArrowEngine
from aios_core.training.trainer import train


def settings(corpus):
    return {
        "dataset": {"type": "file", "path": str(corpus)},
        "tokenizer": {"type": "bytes"},
        "backbone": {"type": "transformer", "dim": 32, "layers": 1, "heads": 2},
        "diffusion": {"length": 16, "packing": "stream"},
        "training": {"steps": 60, "batch_size": 16, "warmup_steps": 5},
    }


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uncertainty")
    (folder / "corpus.txt").write_text(
        "".join(f"{n} bottles of milk, {n} bottles. " for n in range(700))
    )
    (folder / "other.txt").write_text("ZWEI&VIER|ACHT?" * 80)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIOS_CACHE", str(folder / "cache"))
        train(resolve(settings(folder / "corpus.txt")), folder / "run", progress=False)
    return folder


@pytest.fixture(scope="session")
def values():
    """A function that makes the configuration of such a run."""
    return settings


@pytest.fixture(autouse=True)
def _cache(folder, monkeypatch):
    monkeypatch.setenv("AIOS_CACHE", str(folder / "cache"))


@pytest.fixture(scope="session")
def model(folder):
    return ArrowEngine.load(folder / "run").models["diffusion"].model


@pytest.fixture(scope="session")
def aios():
    def command(*arguments, code=0):
        result = CliRunner().invoke(cli, ["uncertainty", *map(str, arguments)])
        assert code == result.exit_code, result.output
        return result

    return command


@pytest.fixture(scope="session")
def calibrated(folder, aios):
    arguments = ("calibrate", folder / "run", "--against", folder / "other.txt", "--windows", "60")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIOS_CACHE", str(folder / "cache"))
        return json.loads(aios(*arguments, "--json").stdout)
