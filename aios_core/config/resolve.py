"""From a file, overrides and plugins to a configuration that is ready to use."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from aios_core.config.document import Node, Origin, merge, tree
from aios_core.config.overrides import layer
from aios_core.config.reader import read
from aios_core.config.structure import Memo, Reader
from aios_core.config.upgrade import upgraded
from aios_core.errors import ConfigError, PluginError
from aios_core.registry import Component, Registry

if TYPE_CHECKING:
    from aios_core.config.lines import KeyPath
    from aios_core.config.schema import Config

logger = logging.getLogger(__name__)

OWN_KEYS = ("ablate", "lock")
"""Tables of a file that are about the configuration and no part of it."""


@frozen
class Resolved:
    """A configuration in which every default is written out and every component is built."""

    config: Config
    values: dict[str, Any]
    """The same as plain data, component names under ``type``, paths absolute; a key that holds
    None is left out. `resolve` takes it again."""
    components: tuple[Component, ...] = field(repr=False)
    """The components used, in the order of the sections."""
    paths: tuple[KeyPath, ...] = field(repr=False)
    """Keys of the values that are paths of files."""
    registry: Registry = field(repr=False, eq=False)
    """Where the components were looked up."""
    root: Node = field(repr=False, eq=False)
    """The tree that all of it was read from."""
    memo: Memo = field(repr=False, eq=False)
    """Its sections by node, for trees that share them."""

    def changed(self, *left_out: str, **values: Any) -> Resolved:
        """The same with some sections at their defaults and some values replaced.

        Args:
            left_out: names of sections.
            values: plain data by section.

        Raises:
            ConfigError: with all that is wrong.
        """
        over = tree(values, Origin("", Path.cwd()))
        root = merge(self.root.without(*left_out), over, self.registry.default_types)
        return structure(root, self.registry, self.memo)


def load(
    path: str | Path,
    *,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
    allow_changes: bool = False,
) -> Resolved:
    """Read a configuration file, also the ``run.lock.toml`` of a run.

    Relative paths in a file are relative to its folder, those of overrides to the working
    directory.

    Args:
        path: a TOML file; its ``[ablate]`` is left aside.
        overrides: ``key=value`` each, on top of the file.
        registry: where components are looked up; None discovers the installed ones.
        allow_changes: repeat a locked run although the versions of its plugins have changed.

    Raises:
        ConfigError: with all that is wrong, each with file, line and key.
        PluginError: a plugin is broken and ``AIOS_STRICT_PLUGINS=1``.
    """
    registry = registry or Registry.discover(insist=False)
    file = read(Path(path), registry.default_types)
    resolved = structure(merge(file, layer(overrides), registry.default_types), registry)
    if "lock" in file.value:
        from aios_core.config.lock import check_lock

        check_lock(file, resolved, allow_changes=allow_changes)
        if overrides:
            logger.info("%s, changed by --set %s", path, ", --set ".join(overrides))
    elif allow_changes:
        raise ConfigError(
            f"{path}: `allow_changes` holds for the run.lock.toml of a run; leave it out"
        )
    return resolved


def resolve(
    values: Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
) -> Resolved:
    """Like `load`, for plain data; relative paths are relative to the working directory.

    Raises:
        ConfigError: with all that is wrong, each with its key.

    Examples:
        >>> resolved = resolve({"training": {"steps": 20}}, overrides=["noise.type=cosine"])
        >>> resolved.config.training.steps, resolved.values["noise"]
        (20, {'type': 'cosine'})
        >>> resolve({"training": {"stepz": 20}})
        Traceback (most recent call last):
        aios_core.errors.ConfigError: training.stepz: unknown key; did you mean 'steps'? ...
    """
    registry = registry or Registry.discover(insist=False)
    given = upgraded(tree(values, Origin("", Path.cwd())))
    return structure(merge(given, layer(overrides), registry.default_types), registry)


def section(
    key: str,
    *,
    path: str | Path | None = None,
    values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
) -> tuple[Any, Any]:
    """One section of components and its values, without loading the others.

    Args:
        key: of the section, as in ``"storage"``.
        path: a TOML file; None: all defaults.
        values: of the section, where the file does not say otherwise; a list where it holds
            several components.
        overrides: ``key=value`` each, on top of the file.
        registry: where components are looked up; None discovers the installed ones.

    Raises:
        ConfigError: with all that is wrong in it.
    """
    registry = registry or Registry.discover(insist=False)
    types = registry.default_types
    root = tree({} if values is None else {key: values}, Origin("", Path.cwd()))
    if path is not None:
        root = merge(root, read(Path(path), types), types)
    root = merge(root, layer(overrides), types).without(*OWN_KEYS)
    reader = Reader(pinned(root, registry))
    return reader.section(key, root), reader.values[key]


def twin(resolved: Resolved) -> Resolved:
    """The autoregressive twin of a run: same network and data, judging the run's samples.

    It is never quantized, and begins with random weights, so that it is one judge for runs that
    begin with any.
    """
    seed, left_out, values = resolved.config.evaluation.twin_seed, ["quantizer"], {}
    if resolved.config.training.init_from is not None:
        left_out.append("training")
        values["training"] = {**resolved.values["training"], "init_from": None}
    return resolved.changed(*left_out, mode="ar", seed=seed, **values)


def structure(root: Node, registry: Registry, memo: Memo | None = None) -> Resolved:
    """Resolve a whole tree.

    Args:
        root: of the tree.
        registry: where components are looked up, under the pins of the tree.
        memo: sections of trees that were resolved before, with the same registry.

    Raises:
        ConfigError: with all that is wrong.
    """
    registry = pinned(root, registry)
    memo = memo or Memo()
    reader = Reader(registry, memo)
    config = reader.config(root.without(*OWN_KEYS))
    components, paths = tuple(reader.components), tuple(reader.paths)
    return Resolved(config, reader.values, components, paths, registry, root, memo)


def pinned(root: Node, registry: Registry) -> Registry:
    """A registry under the pins of ``[plugins.use]``, as far as these are right."""
    plugins = root.get("plugins")
    use = plugins.get("use") if plugins is not None else None
    pins = use.plain() if use is not None else {}
    if not isinstance(pins, dict) or not all(isinstance(pin, str) for pin in pins.values()):
        pins = {}
    try:
        registry = registry.pinned(pins) if pins else registry
        registry.insist()
    except PluginError as error:
        if use is None:
            raise
        raise ConfigError(use.source.problem(("plugins", "use"), str(error))) from error
    return registry
