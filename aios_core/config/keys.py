"""What decides a result, as hashes: runs with the same key need not be done twice.

A key covers the values that affect what it names, the meaning of the code that computes it (see
`aios_core.config.meaning`: the core's from where training and evaluation begin, each component's
from its own module), the versions of the distributions of third parties whose components are used,
and those of a few libraries. The machine is not part of it, nor is how results are kept or shown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from packaging.version import Version

from aios_core.config import meaning
from aios_core.config.document import Origin, tree
from aios_core.config.schema import config_of
from aios_core.config.types import fields, hints, parts
from aios_core.config.upgrade import upgraded

if TYPE_CHECKING:
    from aios_core.config.lines import KeyPath
    from aios_core.config.resolve import Resolved
    from aios_core.config.schema import TrainingConfig
    from aios_core.registry import Component, Registry

DISTRIBUTION: Final = "ai-os-diffusion"
"""The distribution that the core is part of."""

_TRAINS: Final = ("aios_core.training.trainer",)
"""Modules of the core that decide weights, with all that they use."""

_MEASURES: Final = ("aios_core.experiment.evaluate",)
"""Modules of the core that decide what is measured."""

_CHANGES_NOTHING: Final = (
    "aios_core.allocation",  # refuses what no memory holds
    "aios_core.component",  # names, in messages, and copies
    "aios_core.config",  # the values themselves are part of a key
    "aios_core.discovery",  # finds components, which are part of a key by their source
    "aios_core.errors",
    "aios_core.experiment.arms",  # reads results
    "aios_core.experiment.plan",
    "aios_core.experiment.results",
    "aios_core.files",
    "aios_core.hookspecs",
    "aios_core.kinds",
    "aios_core.logs",
    "aios_core.redaction",
    "aios_core.registry",
    "aios_core.terminal",
    "aios_core.training.checkpoint",  # keeps a state and reads it back
    "aios_core.training.going_on",
    "aios_core.training.interrupt",
    "aios_core.training.progress",
    "aios_core.training.state",
    "aios_core.training.tracking",
)
"""Modules that no number depends on. What is not named here counts as soon as it is used."""

_LIBRARIES: Final = {
    "faiss": "faiss-cpu",  # finds near memories, about
    "hqq": "hqq",  # rounds weights
    "lancedb": "lancedb",
    "numpy": "numpy",  # draws, and sums
    "sentence_transformers": "sentence-transformers",  # makes vectors of texts
    "tiktoken": "tiktoken",  # cuts texts into tokens
    "tokenizers": "tokenizers",
    "torch": "torch",  # computes
    "torchao": "torchao",
    "usearch": "usearch",
}
"""Libraries that numbers come from, by import name, and their distributions. A key covers their
version to its second number, where code that it covers uses them; others hand on what they get."""

_NOISELESS: Final = ("times", "time_epsilon", "mask_rates", "block_size")
"""Of the section diffusion: what an autoregressive network, which sees no noise, does not use."""

_OF_TEXT: Final = ("tokenizer", "noise", "corruption", "objective", "head", "conditioner")
"""Sections that a network of several modalities does not use."""

_OF_SEGMENTS: Final = ("modalities", "roles")
"""Sections that a network of texts alone does not use."""

_OF_NOISE: Final = ("noise", "corruption", "objective", "conditioner")
"""Sections that such a network does not use."""


def training_key(resolved: Resolved, data: str | None = None) -> str:
    """Hex SHA-256 of all that decides the trained weights.

    Args:
        resolved: the configuration.
        data: fingerprint of the data, the tokenizer, and the weights to begin with, where it is
            known; it then stands for their paths, so that the key is the same on every machine.
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


def differences(there: Resolved, here: Resolved, data: str) -> dict[str, tuple[Any, Any]]:
    """Where two configurations mean other trainings, past what a run can change on its way.

    Args:
        there: that of the run.
        here: that with which it would go on.
        data: fingerprint of the data, as for `training_key`.

    Returns:
        By dotted key, the values there and here; None where it is unset.
    """
    training: Any = type(there.config.training)
    changeable = {f"training.{name}" for name in _changeable(training)}
    then, now = (
        {**_flat(_values(run, ("training",), data)), **_origins(run)} for run in (there, here)
    )
    return {
        key: (then.get(key), now.get(key))
        for key in {**then, **now}
        if key not in changeable and then.get(key) != now.get(key)
    }


@cache
def _changeable(cls: Any) -> tuple[str, ...]:
    own = fields(cls).items()
    return tuple(key for key, attribute in own if attribute.metadata.get("on_the_way"))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Single values by their dotted keys."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return flat


def _origins(resolved: Resolved) -> dict[str, Any]:
    """Who brings the components of a training, where it is not us; as a pin says it."""
    sections = _sections(resolved, ("training",), None)
    return {
        f"plugins.use.{component.key}": component.distribution
        for component in _components(resolved, sections)
        if component.distribution != DISTRIBUTION
    }


def training_values(values: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """The sections of a resolved configuration that decide the trained weights, and no others.

    Args:
        values: of the configuration, as they were stored.
        registry: whose kinds have sections.
    """
    cls: Any = config_of(registry)
    schema = fields(cls)
    values = upgraded(tree(values, Origin("", Path.cwd()))).plain()
    kept = {
        name: value
        for name, value in values.items()
        if schema[name].metadata.get("affects") == "training"
    }
    kinds = {schema[name].metadata.get("kind") for name in kept}
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
    resolved: Resolved, affects: tuple[str, ...], roots: tuple[str, ...], data: str | None
) -> str:
    sections = _sections(resolved, affects, data)
    made, place = resolved.memo.counted, (roots, tuple(sections), *map(id, resolved.components))
    if place not in made:
        made[place] = _of_code(resolved, sections, roots)
    facts = {
        **made[place],
        "data": canonical(data).decode(),
        "values": _object({name: section.json for name, section in sections.items()}),
    }
    return hashlib.sha256(_object(facts).encode()).hexdigest()


def _components(resolved: Resolved, sections: Iterable[str]) -> Iterator[Component]:
    """Those of some sections; another section may hold components of the same kind."""
    schema = fields(_schema(resolved))
    for name in sections:
        meta = schema[name].metadata
        if "kind" in meta:
            held = resolved.values[name]
            for row in held if meta["many"] else [held]:
                yield from with_parts(resolved.registry, meta["kind"], row)


def with_parts(registry: Registry, kind: str, values: Mapping[str, Any]) -> Iterator[Component]:
    """A component and those that it holds.

    Args:
        registry: where they are looked up.
        kind: of the component.
        values: its own, as a resolved configuration has them.
    """
    component = registry.get(kind, values["type"])
    yield component
    for inner, row in parts(component.load(), values, registry):
        yield from with_parts(registry, inner, row)


def _of_code(resolved: Resolved, sections: Iterable[str], roots: tuple[str, ...]) -> dict[str, str]:
    """What a key covers of the core and of the components in some sections, as JSON."""
    components = list(_components(resolved, sections))
    others = {(component.distribution, component.version) for component in components}
    facts = {
        **_code((*roots, *sorted({component.load().__module__ for component in components}))),
        "versions": sorted(other for other in others if other[0] != DISTRIBUTION),
    }
    return {name: canonical(fact).decode() for name, fact in facts.items()}


@cache
def _code(roots: tuple[str, ...]) -> dict[str, Any]:
    """The meaning of some modules and of all that they use, and the libraries that they use."""
    modules = meaning.closure(roots, _CHANGES_NOTHING)
    used = {
        _LIBRARIES[name]
        for module in modules.values()
        for name in module.libraries & set(_LIBRARIES)
    }
    return {"code": meaning.digests(modules), "libraries": {name: _release(name) for name in used}}


def _release(distribution: str) -> list[int] | None:
    """The first two numbers of a version; None where there is no such distribution."""
    try:
        return list(Version(version(distribution)).release[:2])
    except PackageNotFoundError:
        return None


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
    mode, made, sections = resolved.config.mode, resolved.memo.counted, {}
    for name, (own, inner) in _affected(_schema(resolved)).items():
        if name not in resolved.values or (own or affects[0]) not in affects:
            continue
        if mode == "ar" and name in _OF_NOISE:
            continue
        if name in (_OF_TEXT if resolved.config.modalities else _OF_SEGMENTS):
            continue
        whole = resolved.values[name]
        place = name, id(whole), affects, mode, data is None
        if place not in made:
            counted = _counted(inner, whole, affects) if inner else whole
            left_out: set[KeyPath] = {
                (key,) for key in _without_effect(getattr(resolved.config, name))
            }
            if name == "training":
                left_out.update((key,) for key in _of_choice(resolved.config.training))
            if mode == "ar" and name == "diffusion":
                left_out.update((key,) for key in _NOISELESS)
            if data is not None and name in {"dataset", "tokenizer", "training"}:
                left_out.update(_of_tables(path[1:]) for path in resolved.paths if path[0] == name)
            if left_out:
                counted = _without(counted, left_out)
            made[place] = _Section(whole, counted, canonical(counted).decode())
        sections[name] = made[place]
    return sections


def _of_tables(path: KeyPath) -> KeyPath:
    """The way to a key that holds a path, or an array of paths, which counts as a whole."""
    *_, (last, _) = ((i, key) for i, key in enumerate(path) if isinstance(key, str))
    return path[: last + 1]


def _without(values: Any, left_out: set[KeyPath]) -> Any:
    """Tables and arrays without some keys, each given by the way to it."""
    if not left_out or not isinstance(values, dict | list):
        return values
    pairs = values.items() if isinstance(values, dict) else enumerate(values)
    inner = {
        key: _without(value, {path[1:] for path in left_out if path[0] == key and path[1:]})
        for key, value in pairs
        if (key,) not in left_out
    }
    return inner if isinstance(values, dict) else list(inner.values())


def _without_effect(made: Any) -> Iterable[str]:
    """Keys of a component that say of themselves that they make nothing void."""
    if not attrs.has(type(made)):
        return ()
    own = fields(type(made)).items()
    return (key for key, component in own if component.metadata.get("affects") == "nothing")


def _of_choice(training: TrainingConfig) -> Iterable[str]:
    """How held-out loss is measured: no weight depends on it where it chooses none."""
    chooses = training.keep == "best" or training.patience is not None
    return () if chooses else ("evaluate_every", "evaluate_windows")


def _schema(resolved: Resolved) -> Any:
    return type(resolved.config)


def _counted(cls: Any, values: Mapping[str, Any], affects: tuple[str, ...]) -> dict[str, Any]:
    counted = {}
    for name, (own, inner) in _affected(cls).items():
        if name in values and (own or affects[0]) in affects:
            counted[name] = _counted(inner, values[name], affects) if inner else values[name]
    return counted


def code(component: Component) -> str:
    """Hash of the meaning of a component's module and of all that it uses."""
    return hashlib.sha256(canonical(_code((component.load().__module__,)))).hexdigest()


@cache
def _affected(cls: Any) -> dict[str, tuple[str | None, Any]]:
    """What each field of a class affects, as far as it says, and its class if it is a table."""
    affected = {}
    for name, attribute in fields(cls).items():
        inner = None if "kind" in attribute.metadata else hints(cls)[attribute.name]
        table = inner is not None and attrs.has(inner)
        affected[name] = attribute.metadata.get("affects"), inner if table else None
    return affected
