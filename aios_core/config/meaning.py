"""The meaning of source code, as hashes: all of it that can change a number, and little else.

Modules are found by their import names, and followed from one to the next through their imports.
No name of a module of ours is part of a hash, so a module that is moved keeps its own; an import
counts by the hash of the module that it leads to. `aios_core.config.syntax` says what
counts of one.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final

import attrs

from aios_core.config.syntax import Import, Module, module, sha256
from aios_core.errors import PluginError

OURS: Final = frozenset({"aios_core", "aios_plugins"})

SOURCE_DIGEST: Final = "__source_digest__"
"""Where a compiled module says which sources it was built from, as hex digits."""


def closure(roots: Iterable[str], ignored: tuple[str, ...] = ()) -> dict[str, Module]:
    """Modules and all that they import of their own package and of ours, by their names.

    Args:
        roots: names of modules.
        ignored: names of modules, or of packages, that change no number: they are not followed.

    Raises:
        PluginError: one of them is missing, or is no Python.
    """
    modules: dict[str, Module] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in modules:
            modules[name] = read(name)
            waiting += [at.module for at in targets(name) if not _under(at.module, ignored)]
    return modules


def digests(modules: Mapping[str, Module]) -> list[str]:
    """Of each module of a closure, together with what its imports lead to; in order."""

    def digest(name: str) -> str:
        leads = sorted(
            (at.bound, at.name, modules[at.module].digest)
            for at in targets(name)
            if at.module in modules
        )
        return sha256(repr((modules[name].digest, leads)))

    return sorted({digest(name) for name in modules})


@cache
def targets(name: str) -> tuple[Import, ...]:
    """Where the imports of a module lead, past packages that only hand a name on."""
    return tuple(_target(at) for at in read(name).imports if exists(at.module) or not at.guarded)


def _target(at: Import) -> Import:
    seen = set()
    while at not in seen:
        seen.add(at)
        if at.name and exists(inner := f"{at.module}.{at.name}"):
            return attrs.evolve(at, module=inner, name="")
        there = read(at.module)
        for handed in (*there.imports, *there.handed_on):
            if handed.bound == at.name:
                at = attrs.evolve(handed, bound=at.bound)
                break
    return at


@cache
def read(name: str) -> Module:
    """A module by its import name, which is not run, unless it is compiled.

    Raises:
        PluginError: it is missing, or its source is.
    """
    spec = _spec(name)
    if spec is None or spec.origin is None:
        raise PluginError(f"{name}: result keys cover its source; expected a module, got none")
    source = Path(spec.origin)
    try:
        if source.name.endswith(tuple(EXTENSION_SUFFIXES)):
            return Module(sha256(f"compiled from {_sources(name, source)}"))
        package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
        own = {name.partition(".")[0], *OURS}
        return module(ast.parse(source.read_bytes()), package, own)
    except (OSError, SyntaxError, ValueError, ImportError) as error:
        raise PluginError(
            f"{name}: result keys cover its source; expected Python, got {source}: {error}"
        ) from error


def exists(name: str) -> bool:
    """Whether there is a module of this import name."""
    return _spec(name) is not None


@cache
def _spec(name: str) -> ModuleSpec | None:
    package, _, inner = name.rpartition(".")
    parent = _spec(package) if package else None
    if parent is not None and parent.submodule_search_locations is not None:
        return _inside(name, parent.submodule_search_locations)
    if parent is not None and str(parent.origin).endswith(tuple(EXTENSION_SUFFIXES)):
        module = getattr(importlib.import_module(package), inner, None)
        return parent if isinstance(module, ModuleType) else None
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__spec__ is None and loaded.__file__ is not None:
        return ModuleSpec(name, None, origin=loaded.__file__)  # a script, as it runs
    with suppress(ImportError, ValueError):
        return importlib.util.find_spec(name) if not package or loaded else None
    return None


def _inside(name: str, folders: Iterable[str]) -> ModuleSpec | None:
    """A module of a package, which is not loaded for it."""
    parts = []
    for folder in folders:
        finder = pkgutil.get_importer(folder)
        spec = None if finder is None else finder.find_spec(name, None)
        if spec is not None and spec.loader is not None:
            return spec
        parts += list(spec.submodule_search_locations or ()) if spec is not None else []
    if not parts:
        return None
    whole = ModuleSpec(name, None, is_package=True)  # in several folders, and no file of its own
    whole.submodule_search_locations = parts
    return whole


def _sources(name: str, file: Path) -> str:
    """What a compiled module was built from, as far as it says; else what it was built to."""
    built_from = getattr(importlib.import_module(name), SOURCE_DIGEST, None)
    return str(built_from or hashlib.sha256(file.read_bytes()).hexdigest())


def _under(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
