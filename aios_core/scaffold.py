"""A package to begin a plugin with: one component, its test, and what installs them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from attrs import frozen

import aios_core
from aios_core.errors import PluginError
from aios_core.kinds import KINDS

_PYPROJECT: Final = """\
[build-system]
requires = ["setuptools>=69"]
build-backend = "setuptools.build_meta"

[project]
name = "{distribution}"
version = "0.1.0"
description = "A {kind} for ai-os-diffusion."
requires-python = ">=3.11"
dependencies = ["ai-os-diffusion"]

[project.optional-dependencies]
test = ["ai-os-diffusion[test]"]

[project.entry-points."aios.plugins"]
{module} = "{module}"

[tool.setuptools]
py-modules = ["{module}"]
"""

_TEST: Final = '''\
"""The contract of its kind, and what is special about it."""

import {module}
from aios_core.registry import Registry
from aios_core.testing.contracts.{kind} import {suite}


class Test{cls}({suite}):
    component = {module}.{cls}


def test_it_is_registered():
    registry = Registry.empty()
    registry.add({module})

    assert {module}.{cls} is registry.get("{kind}", "{name}").load()
'''

_NOISE: Final = '''\
"""A noise schedule: one class and the hook that offers it."""

from attrs import field, frozen, validators

import aios_core
from aios_core.contracts import NoiseScheduler

AIOS_API = {api}


@frozen
class {cls}(NoiseScheduler):
    """Keep a token until time t with probability 1 - t**k."""

    k: float = field(default=1.5, validator=validators.gt(0))
    """Larger: information is destroyed later."""

    def alpha(self, t):
        """1 at t = 0, 0 at t = 1, decreasing; t and the answer are float64 tensors."""
        return 1 - t**self.k


@aios_core.hookimpl
def {hook}():
    """Names, and the classes they stand for."""
    return {{"{name}": {cls}}}
'''

_SAMPLER: Final = '''\
"""A sampler: one class and the hook that offers it."""

from attrs import frozen

import aios_core
from aios_core.contracts import StepSampler

AIOS_API = {api}


@frozen
class {cls}(StepSampler):
    """Reveal each masked token with the probability that the schedule gives it."""

    exact = "in the limit"

    def step(self, x, t, s, log_probs, context):
        """From time t to the earlier time s; x is (B, L), log_probs is (B, L, V)."""
        stay = context.noise.mask_rate(s) / context.noise.mask_rate(t)
        reveal = context.masked(x) & (context.uniform() >= stay)
        return context.categorical(log_probs, reveal).where(reveal, x)


@aios_core.hookimpl
def {hook}():
    """Names, and the classes they stand for."""
    return {{"{name}": {cls}}}
'''

_LEVEL: Final = '''\
"""An evolution level: one class and the hook that offers it."""

import torch
from attrs import field, frozen, validators

import aios_core
from aios_core.contracts import Adaptation, EvolutionLevel
from aios_core.errors import EvolutionError
from aios_core.evolution.fitting import fit

AIOS_API = {api}


@frozen
class {cls}(EvolutionLevel):
    """Learn how often each token comes, and nothing else."""

    name = "{name}"

    learning_rate: float = field(default=0.1, validator=validators.gt(0))
    """Peak rate of AdamW."""

    def adapt(self, model, experience, budget):
        """Learn one number a token; the model that is given stays as it is."""
        shift = torch.zeros(model.vocabulary.size, requires_grad=True)
        if shift.numel() > budget.share * sum(p.numel() for p in model.parameters()):
            raise EvolutionError("a number a token is more than the budget")
        rate = self.learning_rate
        fit(self._with(model, shift), [shift], experience, budget, learning_rate=rate)
        return Adaptation({{}}, {{"shift": shift.detach()}}, shift.numel())

    def apply(self, model, adaptation):
        """A fork of the model whose answers are shifted."""
        (shift, *others) = adaptation.tensors.values()
        if others or shift.shape != (model.vocabulary.size,):
            raise EvolutionError("want one tensor, with a number a token")
        return self._with(model, shift)

    def _with(self, model, shift):
        fork = model.fork()
        decode = fork.head.decode
        fork.head.decode = lambda h: decode(h) + shift.to(h)
        return fork


@aios_core.hookimpl
def {hook}():
    """Names, and the classes they stand for."""
    return {{"{name}": {cls}}}
'''

TEMPLATES: Final = {"noise": _NOISE, "sampler": _SAMPLER, "level": _LEVEL}
"""Kinds that a package can be begun for."""


@frozen
class Package:
    """What was written."""

    name: str
    """Of the component."""
    files: tuple[Path, ...]


def write_package(folder: Path, kind: str) -> Package:
    """Write a package that can be installed and passes its own tests.

    Args:
        folder: where; its name becomes the distribution's, and without ``aios-`` the component's.
        kind: a key of `TEMPLATES`.

    Raises:
        PluginError: the folder is not empty, is no folder, or its name cannot be a package's.
    """
    distribution = re.sub(r"[-_.]+", "-", folder.resolve().name).lower()
    if not re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", distribution):
        raise PluginError(
            f"{folder.resolve().name!r} cannot name a package; want letters, digits and hyphens, "
            "as in 'aios-my-schedule'"
        )
    name = distribution.removeprefix("aios-")
    values = {
        "api": aios_core.API_VERSION,
        "cls": "".join(part.capitalize() for part in re.findall(r"[a-z]+|\d+", name)),
        "distribution": distribution,
        "hook": KINDS[kind].hook,
        "kind": kind,
        "module": distribution.replace("-", "_"),
        "name": name,
        "suite": f"{kind.capitalize()}Contract",
    }
    texts = {
        "pyproject.toml": _PYPROJECT,
        f"{values['module']}.py": TEMPLATES[kind],
        f"test_{values['module']}.py": _TEST,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise PluginError(f"{folder} is not empty; want a new folder")
        for file, text in texts.items():
            (folder / file).write_text(text.format(**values), encoding="utf-8")
    except OSError as error:
        raise PluginError(f"cannot write the package {folder}: {error}") from error
    return Package(name, tuple(folder / file for file in texts))
