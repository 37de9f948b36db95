"""A registry of small components of every kind, so that configuration is tested by itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
from attrs import Factory, define, field, frozen, validators

import aios_core
from aios_core import contracts
from aios_core.kinds import KINDS
from aios_core.registry import Registry


def bare(contract: type) -> type:
    """A subclass of a contract in which every method is there and does nothing."""
    names = getattr(contract, "__abstractmethods__", ())
    members = {**dict.fromkeys(names), "__module__": __name__}
    return type(f"Bare{contract.__name__}", (contract,), members)


BareSampler = bare(contracts.Sampler)


class BareNoise(contracts.NoiseScheduler):
    """The least that makes a bound, which a configuration is asked for."""

    def alpha(self, t):
        return 1 - t


@frozen
class Linear(BareNoise):
    """Nothing to set."""


@frozen
class Power(BareNoise):
    """Keep a token until time t with probability 1 - t**k."""

    k: float = field(default=2.0, validator=validators.gt(0))
    """The exponent."""


@frozen
class Shape:
    """A nested table."""

    width: int = field(default=1, validator=validators.ge(1))
    label: str | None = None


@frozen
class Odd(BareNoise):
    """Every type that a field may have."""

    needed: int
    flag: bool = False
    file: Path | None = None
    either: int | float | str = 1
    kind: Literal["a", "b", 3] = "a"
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[str, float] = ("x", 1.0)
    named: dict[str, float] = field(factory=dict)
    shape: Shape = field(factory=Shape)
    shapes: tuple[Shape, ...] = ()
    _private: int = 4
    low: float = 0.0
    high: float = field(default=Factory(lambda self: self.low + 1, takes_self=True))

    @high.validator
    def _above(self, attribute, value):
        if value <= self.low:
            raise ValueError(f"{value} is not above low, which is {self.low}")

    def __attrs_post_init__(self):
        if self.flag and self.file is None:
            raise ValueError("flag needs file")


@frozen
class Steps(BareSampler):
    """A sampler with steps."""

    steps: int = field(default=64, validator=validators.ge(1))
    order: Literal["random", "confidence"] = "random"


@frozen
class Greedy(BareSampler):
    """Another one with steps."""

    steps: int = field(default=64, validator=validators.ge(1))


@frozen
class First(BareSampler):
    """A sampler without steps."""


@frozen
class Counting(bare(contracts.Metric)):
    """A metric with a field."""

    of = "model"
    n: int = field(default=2, validator=validators.ge(1))


@frozen
class Masks(bare(contracts.Corruption)):
    """Noise that every sampler serves."""

    absorbing = True


@frozen
class Level(bare(contracts.EvolutionLevel)):
    """Learns nothing."""

    name = "level"


@frozen
class Report(bare(contracts.Report)):
    """Writes nothing."""


@define
class Mutable(BareNoise):
    """Breaks the contract: not frozen."""


NAMES = {
    "noise": {"loglinear": Linear, "power": Power, "odd": Odd, "mutable": Mutable},
    "corruption": {"absorbing": Masks},
    "objective": "nelbo",
    "quantizer": "none",
    "sampler": {"ancestral": Steps, "confidence": Greedy, "first-hitting": First},
    "head": "text",
    "backbone": "transformer",
    "conditioner": "none",
    "optimizer": "adamw",
    "lr_schedule": "cosine",
    "tokenizer": "bpe",
    "dataset": "python-docs",
    "metric": dict.fromkeys(("nelbo", "likelihood", "entropy", "distinct", "twin"), Counting),
    "level": dict.fromkeys(("l1-control", "l2-lora", "l3-unfreeze"), Level),
    "policy": "ladder",
    "storage": "arrow",
    "embedding": "hashing",
    "tracker": "jsonl",
    "executor": "processes",
    "report": dict.fromkeys(("tables", "html"), Report),
}


def small() -> Registry:
    """Components that need nothing but attrs."""
    hooks = {}
    for kind, offered in NAMES.items():
        if isinstance(offered, str):
            contract = getattr(contracts, KINDS[kind].contract.partition(":")[2])
            classes = {offered: frozen(bare(contract))}
        else:
            classes = offered
        hooks[KINDS[kind].hook] = aios_core.hookimpl(lambda classes=classes: classes)
    registry = Registry.empty()
    plugin = SimpleNamespace(AIOS_API=1, __name__="small", **hooks)
    registry.add(plugin, distribution="small-plugins", version="1.5")
    return registry


@pytest.fixture
def held():
    """How many components a configuration holds that names none."""
    sections = [kind.default for kind in KINDS.values() if kind.section]
    return sum(len(section) if isinstance(section, tuple) else 1 for section in sections)


@pytest.fixture
def registry() -> Registry:
    """Those, for a test that may add to them."""
    return small()


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def write(text: str, name: str = "run.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write
