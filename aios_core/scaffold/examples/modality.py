"""A modality: how its items become numbers, and the hook that offers it."""

from typing import ClassVar

import numpy as np
from attrs import frozen

import aios_core
from aios_core import contracts
from aios_core.errors import DataError
from aios_core.registry import part

AIOS_API = 1


@frozen
class Beats(contracts.Codec):
    """A heartbeat of 256 samples as (32, 8) numbers of about unit variance."""

    mean: float
    deviation: float
    space: ClassVar = contracts.Continuous(8)
    grid: ClassVar = (32,)

    def encode(self, item):
        """An item as a state."""
        if np.shape(item) != (256,):
            raise DataError(f"expected 256 samples, got shape {np.shape(item)}")
        return ((np.asarray(item) - self.mean) / self.deviation).astype(np.float32).reshape(32, 8)

    def decode(self, state):
        """The item of a state."""
        return np.asarray(state).reshape(256) * self.deviation + self.mean

    def show(self, item):
        """What a browser shows of it."""
        return contracts.Shown("text/plain", " ".join(f"{x:.3g}" for x in item).encode())


@frozen
class Heartbeat(contracts.Modality):
    """Heartbeats, by Gaussian diffusion."""

    codec: ClassVar = Beats
    name: str = "heartbeat"
    weight: float = 1.0
    head: contracts.ProjectionHead = part("head", "linear")
    corruption: contracts.Corruption = part("corruption", "gaussian")
    noise: contracts.NoiseScheduler = part("noise", "flow")
    objective: contracts.Objective = part("objective", "squared-error")

    def example(self, number):
        """A pulse at another place for another number."""
        return np.exp(-0.1 * (np.arange(256.0) - 40 - number % 100) ** 2)

    def fit(self, items):
        """Mean and deviation of some heartbeats."""
        whole = [np.asarray(item) for item in items]
        if not whole:
            raise DataError("no heartbeat to fit a codec to; expected at least one")
        return Beats(float(np.mean(whole)), float(np.std(whole)))


@aios_core.hookimpl
def aios_modalities():
    """Names, and the classes they stand for."""
    return {"heartbeat": Heartbeat}
