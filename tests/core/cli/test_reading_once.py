"""No command reads the corpus twice: it is read and hashed once, and handed along."""

import pytest

PLUGIN = """
from pathlib import Path

from attrs import frozen

import aios_core
from aios_core.contracts import Dataset

AIOS_API = 1


@frozen
class Counted(Dataset):
    path: Path

    def documents(self):
        with self.path.with_suffix(".log").open("a") as file:
            file.write("read\\n")
        yield self.path.read_text()


@aios_core.hookimpl
def aios_datasets():
    return {"counted": "counted:Counted"}
"""
CONFIG = """
dataset = {type = "counted", path = "corpus.txt"}
tokenizer = {type = "bytes"}
backbone = {dim = 32, layers = 1, heads = 2}
diffusion = {length = 16}
training = {steps = 2, batch_size = 4}
sampler = {steps = 2}
sampling = {num_samples = 2}
evaluation = {draws = 1, max_tokens = 1200}
evolution = {steps = 1, windows = 16, draws = 1}
executor = {type = "serial"}
"""
GRID = """
[ablate]
"noise.type" = ["loglinear", "cosine"]
"sampler.steps" = [1, 2]
"""
COMMANDS = [
    ("run", "run.toml", "--output", "run"),
    ("run", "run.toml", "--output", "run"),
    ("evaluate", "run"),
    ("evaluate", "run", "--set", "quantizer.type=arrow", "--set", "quantizer.quality=calibrated"),
    ("uncertainty", "calibrate", "run", "--windows", "33"),
    ("evolve", "run", "run", "--texts", "other.txt", "--level", "l2-lora", "--rounds", "2"),
    ("quantize", "run", "--quality", "calibrated", "--texts", "4", "--output", "small.parquet"),
    ("probe", "run", "--data", "--metric", "norm"),
    ("ablate", "grid.toml", "--output", "grid"),
]


@pytest.fixture
def corpus(aios, tmp_path, tmp_plugin):
    """A data set that says of no file that its texts follow from it, and logs every reading."""
    tmp_plugin(PLUGIN, module="counted")
    lines = "".join(f"{n} bottles of milk on the wall, {n} bottles.\n" for n in range(400))
    (tmp_path / "corpus.txt").write_text(lines)
    (tmp_path / "other.txt").write_text("".join(f"{n} cans of beer {n}\n" for n in range(3000)))
    (tmp_path / "run.toml").write_text(CONFIG)
    (tmp_path / "grid.toml").write_text(CONFIG + GRID)
    return tmp_path / "corpus.txt"


def test_commands_read_the_corpus_once(aios, corpus):
    log, readings = corpus.with_suffix(".log"), {}
    for number, words in enumerate(COMMANDS):
        log.write_text("")
        aios(*words, code=(0, 1) if words[0] == "evolve" else 0)  # 1: nothing passed the gate
        readings[number, *words] = log.read_text().count("read")

    assert dict.fromkeys(readings, 1) == readings
