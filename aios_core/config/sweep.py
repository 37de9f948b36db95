"""The trials of an ablation: every combination that ``[ablate]`` asks for, resolved."""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import evolve, frozen

from aios_core.config import overrides as command_line
from aios_core.config.axes import Setting, Sweep, sweep
from aios_core.config.document import Node, Origin, dotted, merge, tree, type_of
from aios_core.config.reader import read
from aios_core.config.resolve import Resolved, pinned, structure
from aios_core.config.schema import config_of
from aios_core.config.structure import Memo
from aios_core.config.types import fields, show
from aios_core.config.upgrade import upgraded
from aios_core.errors import ConfigError, PluginError
from aios_core.registry import Registry

MAX_TRIALS: Final = 10_000
"""More is a mistake in a grid, and would take long to say so."""

Layer = dict[Setting, Node]
"""Values on top of a file, by key."""


@frozen
class Trial:
    """One combination of settings."""

    settings: dict[str, Any]
    """What varies, as ``{"sampler.type": "ancestral", "seed": 0}``. A key that the trial's
    component does not have is left out."""
    resolved: Resolved
    baseline: bool = False
    """Whether it is of the arm that others are compared with; an arm is its settings without the
    seed."""
    merged: int = 1
    """Combinations that it stands for: those that differ only in keys that do not apply."""


def trials(
    source: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
) -> list[Trial]:
    """Every trial of a configuration, in the order of ``[ablate]``; the last key varies fastest.

    Overrides hold for every trial whose components have the key. Without ``[ablate]`` there is one
    trial, without settings.

    Args:
        source: a file, or plain data like its content.
        overrides: ``key=value`` each; ``ablate.seed=[0]`` changes what varies.
        registry: where components are looked up; None discovers the installed ones.

    Raises:
        ConfigError: with all that is wrong in any trial, each with its place.

    Examples:
        >>> both = trials({"ablate": {"training.steps": [10, 20], "seed": [0, 1]}})
        >>> [trial.settings for trial in both][1]
        {'training.steps': 10, 'seed': 1}
        >>> both[1].resolved.config.seed
        1
    """
    registry = registry or Registry.discover(insist=False)
    types = registry.default_types
    if isinstance(source, Mapping):
        file = upgraded(tree(source, Origin("", Path.cwd())))
    else:
        file = read(Path(source), types)
    over = command_line.layer(overrides)
    both = merge(file, over, types)
    ablate = both.get("ablate")
    schema = config_of(registry)
    plan = sweep(ablate, schema) if ablate is not None else Sweep((), {})
    count = math.prod(len(axis.rows) for axis in plan.axes)
    if ablate is not None and count > MAX_TRIALS:
        wrong = f"{count} trials; expected at most {MAX_TRIALS}"
        raise ConfigError(ablate.source.problem(("ablate",), wrong))
    shared = dict(_leaves(over.without("ablate")))
    _check_overrides(shared, plan)
    return _resolved(file.without("ablate"), shared, plan, pinned(both, registry))


def _leaves(node: Node, path: Setting = ()) -> Iterator[tuple[Setting, Node]]:
    for key, child in node.value.items():
        if isinstance(child.value, dict):
            yield from _leaves(child, (*path, key))
        else:
            yield (*path, key), child


def _check_overrides(shared: Layer, plan: Sweep) -> None:
    varied = {key for axis in plan.axes for key in axis.keys}
    problems = [
        node.source.problem(key, f"varies under [ablate]; set ablate.'{dotted(key)}' instead")
        for key, node in shared.items()
        if key in varied
    ]
    if problems:
        raise ConfigError(*problems)


def _points(plan: Sweep) -> list[Layer]:
    """Every combination of what varies."""
    combinations = itertools.product(*(axis.rows for axis in plan.axes))
    return [
        dict(
            pair
            for axis, row in zip(plan.axes, rows, strict=True)
            for pair in zip(axis.keys, row, strict=True)
        )
        for rows in combinations
    ]


def _resolved(file: Node, shared: Layer, plan: Sweep, registry: Registry) -> list[Trial]:
    points = _points(plan)
    layers = [{**shared, **point} for point in points]
    applying = [_applying(file, layer, registry) for layer in layers]
    # What applies nowhere stays, so that it is reported as any unknown key is.
    nowhere = {key for layer in layers for key in layer}.difference(*applying)
    unique: dict[str, Trial] = {}
    problems: defaultdict[str, list[Layer]] = defaultdict(list)
    baseline, sections, memo = None, _Sections(file, registry.default_types), Memo()
    for point, layer, applies in zip(points, layers, applying, strict=True):
        kept = {key: node for key, node in layer.items() if key in applies | nowhere}
        try:
            resolved = structure(sections.under(kept), registry, memo)
        except ConfigError as error:
            for problem in error.problems:
                problems[problem].append(point)
            continue
        for problem in _reset(file, point, kept, resolved):
            problems[problem].append(point)
        settings = {dotted(key): _value(key, resolved, point[key]) for key in point if key in kept}
        identity = json.dumps(settings, default=str)
        if identity in unique:
            unique[identity] = evolve(unique[identity], merged=unique[identity].merged + 1)
        else:
            unique[identity] = Trial(settings, resolved)
        if baseline is None and all(point[k].plain() == v for k, v in plan.baseline.items()):
            baseline = _arm(settings)
    if problems:
        raise ConfigError(*_worded(problems, len(points)))
    return [evolve(trial, baseline=_arm(trial.settings) == baseline) for trial in unique.values()]


def _applying(file: Node, layer: Layer, registry: Registry) -> set[Setting]:
    """The settings that mean something to the components chosen by them."""
    types = registry.default_types

    def means(key: Setting) -> bool:
        section = key[0]
        if section not in types or len(key) == 1 or key[1] == "type":
            return True
        named = layer.get((section, "type"))
        name = type_of(file.get(section), types[section]) if named is None else named.value
        try:
            return key[1] in fields(registry.get(section, name).load())
        except PluginError:
            return True  # resolving the trial says what is wrong with the component

    return {key for key in layer if means(key)}


class _Sections:
    """A file under layers, with one node for a section that several layers make alike."""

    def __init__(self, file: Node, default_types: Mapping[str, str]) -> None:
        self._file, self._default_types = file, default_types
        self._made: dict[tuple[Any, ...], Node] = {}
        self._held: list[Layer] = []

    def under(self, layer: Layer) -> Node:
        """The file with a layer on top of it."""
        parts: defaultdict[str, Layer] = defaultdict(dict)
        for key, node in layer.items():
            parts[key[0]][key] = node
        root = dict(self._file.value)
        for section, part in parts.items():
            alike = (section, *((key, id(node)) for key, node in part.items()))
            if alike not in self._made:
                self._held.append(part)  # an identity stays its own as long as its node is there
                self._made[alike] = merge(self._file, _tree(part), self._default_types).value[
                    section
                ]
            root[section] = self._made[alike]
        return Node(root, self._file.source)


def _tree(layer: Layer) -> Node:
    root = Node({}, Origin("", Path.cwd()))
    for key, node in layer.items():
        command_line.put(root, key, node)
    return root


def _reset(file: Node, point: Layer, kept: Layer, resolved: Resolved) -> Iterator[str]:
    """Keys written for one type that another type of the sweep also has: meant for both or not?

    Switching the type drops them, so that the arms would differ in more than what varies.
    """
    for section, default in resolved.registry.default_types.items():
        node, values = file.get(section), resolved.values[section]
        old, new = type_of(node, default), values["type"]
        if node is None or old == new or (section, "type") not in point:
            continue
        for key, child in node.without("type").value.items():
            if (section, key) not in kept and key in values and child.plain() != values[key]:
                wrong = f"is written for {old!r}, and {new!r} would have {show(values[key])}"
                mend = f'"{section}.{key}" = [{show(child.value)}]'
                yield child.source.problem(
                    (section, key), f"{wrong}; to set it for every type, write {mend} in [ablate]"
                )


def _value(key: Setting, resolved: Resolved, node: Node) -> Any:
    """A setting as a table shows it: a path as it was written, a number as it was understood."""
    if key in resolved.paths:
        return node.plain()
    value: Any = resolved.values
    for part in key:
        value = value[part]
    return value


def _arm(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != "seed"}


def _worded(problems: Mapping[str, Sequence[Layer]], count: int) -> Iterator[str]:
    """Each problem once; one that not every trial has, with the first trial that has it."""
    for problem, points in problems.items():
        first = ", ".join(f"{dotted(key)} = {show(node.value)}" for key, node in points[0].items())
        yield problem if len(points) == count else f"{problem} (in the trial {first})"
