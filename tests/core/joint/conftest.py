"""A data set of words, pictures and sounds that is small enough to be learned in a test."""

import types

import numpy as np
import pytest
from attrs import frozen

import aios_core
from aios_core import contracts
from aios_core.config import resolve
from aios_core.contracts import Row, Segment, Sound
from aios_core.registry import Registry

WORDS = ("low", "high")


@frozen
class Pairs(contracts.Dataset):
    """A word, a picture that is dark or bright, and a tone that is low or high."""

    count: int = 40
    lacking: bool = False
    given: bool = False

    def rows(self, split):
        random = np.random.default_rng(len(split))
        for number in range(self.count if split == "train" else self.count // 2):
            kind = int(random.integers(2))
            pixels = (60 + 120 * kind + random.integers(0, 20, (4, 4, 1))).astype(np.uint8)
            time = np.arange(256) / 1000
            tone = np.sin(2 * np.pi * (60 + 200 * kind) * time) * 0.5
            tone += random.normal(size=256) * 0.05
            segments = [
                Segment("text", WORDS[kind], "given" if self.given else "target", "text"),
                Segment("image", pixels, modality="image"),
                Segment("audio", Sound(tone.astype(np.float32), 1000), modality="audio"),
            ]
            if self.lacking and number % 3 == 0:
                del segments[1]
            yield Row(tuple(segments), where=f"pairs, row {number}")


@pytest.fixture(scope="session")
def registry():
    registry = Registry.discover()
    plugin = types.SimpleNamespace(
        AIOS_API=1, aios_datasets=aios_core.hookimpl(lambda: {"pairs": Pairs})
    )
    plugin.aios_datasets.__name__ = "aios_datasets"
    registry.add(plugin, distribution="pairs", version="1", name="pairs")
    return registry


@pytest.fixture
def tiny(registry):
    """A configuration of three modalities, with overrides."""

    def make(*overrides):
        values = {
            "dataset": {"type": "pairs"},
            "modalities": [
                {"type": "text", "unit": "word"},
                {"type": "pixels", "size": [4, 4], "patch": 2},
                {
                    "type": "mel",
                    "rate": 1000,
                    "frames": 8,
                    "bands": 8,
                    "window": 64,
                    "hop": 32,
                    "group": 2,
                },
            ],
            "backbone": {"dim": 32, "layers": 2, "heads": 2, "time_conditioned": True},
            "training": {
                "steps": 6,
                "batch_size": 8,
                "warmup_steps": 2,
                "log_every": 2,
                "checkpoint_every": 3,
                "evaluate_every": 3,
                "evaluate_windows": 8,
            },
            "sampler": {"type": "ancestral", "steps": 4},
            "sampling": {"num_samples": 8, "batch_size": 8},
            "evaluation": {"twin": False},
            "metrics": [{"type": "judged", "passes": 3}],
        }
        return resolve(values, overrides=overrides, registry=registry)

    return make
