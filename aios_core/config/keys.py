"""What decides a result, as hashes: runs with the same key need not be done twice.

A key covers the values that affect what it names, the versions of the distributions whose
components are used, and source code: that of the core, and the package (or the single module) that
each component lives in. Tables, reports and the command line change no result and are left out.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

import aios_core
from aios_core.config.schema import Config
from aios_core.config.types import fields, hints

if TYPE_CHECKING:
    from aios_core.config.resolve import Resolved
    from aios_core.registry import Component

DISTRIBUTION: Final = "ai-os-diffusion"
"""The distribution that the core is part of."""

_TRAINS: Final = ("contracts", "diffusion", "memory/recall.py", "training")
"""Folders of the core whose code decides weights; with `_MEASURES` also what is measured."""

_MEASURES: Final = ("evolution", "experiment/evaluate.py", "experiment/sampling.py")
"""What of the core measures; the other modules of experiment/ only count and draw."""

_NOISELESS: Final = ("times", "time_epsilon", "mask_rates", "block_size")
"""Of the section diffusion: what an autoregressive network, which sees no noise, does not use."""

_OF_NOISE: Final = ("noise", "corruption", "objective", "memory")
"""Sections that such a network does not use."""


def training_key(resolved: Resolved, data: str | None = None) -> str:
    """Hex SHA-256 of all that decides the trained weights.

    Args:
        resolved: the configuration.
        data: fingerprint of the data where it is known; it then stands for the paths in the
            section of the data set, so that the key is the same on every machine.
    """
    return _key(resolved, ("training",), _TRAINS, data)


def trial_key(resolved: Resolved, data: str | None = None) -> str:
    """Hex SHA-256 of all that decides what is measured: training, and evaluation after it.

    Args:
        resolved: the configuration.
        data: as for `training_key`.
    """
    return _key(resolved, ("training", "evaluation"), (*_TRAINS, *_MEASURES), data)


def training_settings(resolved: Resolved, data: str | None = None) -> dict[str, Any]:
    """The values that decide the trained weights, down to single keys of sections.

    Args:
        resolved: the configuration.
        data: as for `training_key`.
    """
    return _values(resolved, ("training",), data)


def training_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a resolved configuration that decide the trained weights, and no others."""
    kept = {
        name: value
        for name, value in values.items()
        if fields(Config)[name].metadata.get("affects") == "training"
    }
    kinds = {fields(Config)[name].metadata.get("kind") for name in kept}
    pins = values.get("plugins", {}).get("use", {})
    use = {key: pin for key, pin in pins.items() if key.partition(".")[0] in kinds}
    return {**kept, "plugins": {"use": use}}


def canonical(values: Any) -> bytes:
    """Plain data as JSON that is the same for equal data."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


@attrs.frozen
class _Section:
    """What counts of a section, kept for the trials that share it."""

    whole: Any
    """Held, so that its identity stays its own."""
    counted: Any
    json: str
    """The same as `canonical` writes it."""


def _key(
    resolved: Resolved, affects: tuple[str, ...], folders: tuple[str, ...], data: str | None
) -> str:
    sections = _sections(resolved, affects, data)
    made, place = resolved.memo.counted, (tuple(sections), *map(id, resolved.components))
    if place not in made:
        made[place] = _of_plugins(resolved, sections)
    facts = {
        **made[place],
        "core": canonical(_core(folders)).decode(),
        "data": canonical(data).decode(),
        "values": _object({name: section.json for name, section in sections.items()}),
    }
    return hashlib.sha256(_object(facts).encode()).hexdigest()


def _of_plugins(resolved: Resolved, sections: Iterable[str]) -> dict[str, str]:
    """What a key covers of the components in some sections, as JSON."""
    kinds = {fields(Config)[name].metadata.get("kind") for name in sections}
    components = [one for one in resolved.components if one.kind in kinds]
    facts = {
        "versions": sorted({(one.distribution, one.version) for one in components}),
        "code": sorted({code(one) for one in components}),
    }
    return {name: canonical(fact).decode() for name, fact in facts.items()}


def _object(members: Mapping[str, str]) -> str:
    """The JSON of an object, from that of its members, as `canonical` writes it."""
    return "{" + ",".join(f'"{name}":{members[name]}' for name in sorted(members)) + "}"


def _values(resolved: Resolved, affects: tuple[str, ...], data: str | None) -> dict[str, Any]:
    """The values that count, down to the single keys of a section."""
    return {name: section.counted for name, section in _sections(resolved, affects, data).items()}


def _sections(
    resolved: Resolved, affects: tuple[str, ...], data: str | None
) -> dict[str, _Section]:
    """The sections that count, and what counts of each."""
    mode, made, found = resolved.config.mode, resolved.memo.counted, {}
    for name, (own, inner) in _affected(Config).items():
        if name not in resolved.values or (own or affects[0]) not in affects:
            continue
        if mode == "ar" and name in _OF_NOISE:
            continue
        whole = resolved.values[name]
        place = name, id(whole), affects, mode, data is None
        if place not in made:
            counted = _counted(inner, whole, affects) if inner else whole
            left_out: set[object] = set()
            if mode == "ar" and name == "diffusion":
                left_out.update(_NOISELESS)
            if data is not None and name == "dataset":
                left_out.update(path[1] for path in resolved.paths if path[0] == name)
            if left_out:
                counted = {key: value for key, value in counted.items() if key not in left_out}
            made[place] = _Section(whole, counted, canonical(counted).decode())
        found[name] = made[place]
    return found


def _counted(cls: Any, values: Mapping[str, Any], affects: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for name, (own, inner) in _affected(cls).items():
        if name in values and (own or affects[0]) in affects:
            found[name] = _counted(inner, values[name], affects) if inner else values[name]
    return found


def code(component: Component) -> str:
    """Hash of the source that a component is defined in, its whole package included."""
    cls: Any = component.load()
    return _code(_home(cls))


@cache
def _affected(cls: Any) -> dict[str, tuple[str | None, Any]]:
    """What each field of a class affects, as far as it says, and its class if it is a table."""
    found = {}
    for name, attribute in fields(cls).items():
        inner = hints(cls)[attribute.name]
        table = "kind" not in attribute.metadata and attrs.has(inner)
        found[name] = attribute.metadata.get("affects"), inner if table else None
    return found


@cache
def _core(folders: tuple[str, ...]) -> list[str]:
    """Version of the core, and hashes of some of its folders."""
    core = Path(aios_core.__file__).parent
    return [version(DISTRIBUTION), *(_code(core / folder) for folder in folders)]


@cache
def _home(cls: Any) -> Path:
    """The folder of the package that a component's module lies in, or the module's own file."""
    module = sys.modules[cls.__module__]
    file = Path(inspect.getsourcefile(module) or str(module.__file__))
    package = sys.modules.get(module.__package__ or "")
    regular = package is not None and getattr(package, "__file__", None) is not None
    return file.parent if regular else file


@cache
def _code(place: Path) -> str:
    """Hash of a module, or of all modules under a folder."""
    digest = hashlib.sha256()
    for file in [place] if place.is_file() else _modules(place):
        name = file.name if place.is_file() else file.relative_to(place).as_posix()
        digest.update(f"{place.name}/{name}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _modules(folder: Path) -> Iterable[Path]:
    return sorted(folder.rglob("*.py"))
