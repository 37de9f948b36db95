"""Reads ``[ablate]``: what varies, together with what, and which arm is the baseline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from aios_core.config.document import Node, dotted
from aios_core.config.overrides import key_path
from aios_core.config.types import fields, hints, show
from aios_core.errors import ConfigError

if TYPE_CHECKING:
    from aios_core.config.lines import KeyPath

Setting = tuple[str, ...]
"""The way to a key that varies."""


@frozen
class Axis:
    """Keys that vary together: one of a grid, or those of an ``[[ablate.zip]]``."""

    keys: tuple[Setting, ...]
    rows: tuple[tuple[Node, ...], ...]
    """One value for each key a row."""


@frozen
class Sweep:
    """All of ``[ablate]``."""

    axes: tuple[Axis, ...]
    baseline: dict[Setting, Any]
    """Plain values of some keys; the first trial that has them is of the baseline arm."""


def sweep(ablate: Node, schema: Any) -> Sweep:
    """The meaning of the table ``[ablate]``.

    Args:
        ablate: the table.
        schema: class of configurations, whose sections may vary.

    Raises:
        ConfigError: with all that is wrong, each with its line.
    """
    problems: list[str] = []
    if not isinstance(ablate.value, dict):
        raise ConfigError(
            ablate.source.problem(("ablate",), f"expected a table, got {ablate.value!r}")
        )
    together = [[entry] for entry in _entries(ablate.without("zip", "baseline"), problems)]
    together += [list(_entries(table, problems)) for table in _tables(ablate.get("zip"), problems)]
    axes = [_axis(entries, schema, problems) for entries in together]
    varied = tuple(axis for axis in axes if axis is not None)
    _unique(varied, problems)
    baseline = ablate.get("baseline")
    chosen = _baseline(baseline, varied, problems) if baseline is not None else {}
    if problems:
        raise ConfigError(*problems)
    return Sweep(varied, chosen)


def _entries(table: Node, problems: list[str]) -> Iterator[tuple[Setting, Node]]:
    """Keys and values, whether written ``"noise.type" = `` or ``noise.type =``."""
    for name, node in table.value.items():
        path = key_path(name)
        if path is None:
            problems.append(
                node.source.problem(("ablate", name), "expected a key, as in noise.type")
            )
        elif isinstance(node.value, dict):
            yield from (((*path, *key), leaf) for key, leaf in _entries(node, problems))
        else:
            yield path, node


def _tables(zips: Node | None, problems: list[str]) -> list[Node]:
    if zips is None:
        return []
    tables = zips.value if isinstance(zips.value, list) else [zips]
    if isinstance(zips.value, list) and all(isinstance(table.value, dict) for table in tables):
        return tables
    problems.append(zips.source.problem(("ablate", "zip"), "expected tables, [[ablate.zip]]"))
    return []


def _axis(entries: list[tuple[Setting, Node]], schema: Any, problems: list[str]) -> Axis | None:
    before = len(problems)
    for key, node in entries:
        fault = _fault(key, schema) or _list_fault(node, alone=len(entries) == 1)
        if fault:
            problems.append(node.source.problem(("ablate", dotted(key)), fault))
    if len(problems) > before or not entries:
        return None
    keys = tuple(key for key, _ in entries)
    columns = [node.value for _, node in entries]
    if len({len(column) for column in columns}) > 1:
        sizes = ", ".join(f"{dotted(k)} has {len(c)}" for k, c in zip(keys, columns, strict=True))
        place = entries[0][1].source
        problems.append(
            place.problem(("ablate", "zip"), f"expected lists of equal length; {sizes}")
        )
        return None
    rows = tuple(zip(*columns, strict=True))
    seen: set[str] = set()
    for row in rows:
        text = json.dumps([_number(node.plain()) for node in row], default=str)
        if text in seen:
            wrong = "the same values stand here twice; expected each once"
            problems.append(row[0].source.problem(("ablate", dotted(keys[0])), wrong))
        seen.add(text)
    return Axis(keys, rows)


def _number(value: Any) -> Any:
    """A value with its numbers in one spelling: 1.0 is 1, and -0.0 is 0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_number(item) for item in value]
    if isinstance(value, dict):
        return {key: _number(item) for key, item in value.items()}
    return value


def _fault(key: Setting, schema: Any) -> str | None:
    """Why a key cannot vary, as far as the schema tells."""
    attribute = fields(schema).get(key[0])
    if attribute is None:
        if key[0] == "memory":
            return f"is conditioner.{'.'.join(key[1:])} today, with conditioner.type = 'memory'"
        return f"unknown section; known: {', '.join(fields(schema))}"
    if attribute.metadata.get("affects") == "nothing":
        return "changes nothing that is measured, so it cannot vary"
    if attribute.metadata.get("many"):
        return f"{key[0]} cannot vary: every trial is measured in the same way"
    if len(key) == 1 and ("kind" in attribute.metadata or attrs.has(hints(schema)[key[0]])):
        return f"names a whole section; expected one of its keys, as in {key[0]}.type"
    return None


def _list_fault(node: Node, *, alone: bool) -> str | None:
    if not isinstance(node.value, list):
        return f"expected an array of the values to try, got {show(node.value)}"
    if not node.value:
        return "no values to try; expected at least one" if alone else "an empty list in a zip"
    return None


def _unique(axes: tuple[Axis, ...], problems: list[str]) -> None:
    seen: set[Setting] = set()
    for axis in axes:
        for key, node in zip(axis.keys, axis.rows[0], strict=True):
            if key in seen:
                wrong = "varies in two places of [ablate]; expected one"
                problems.append(node.source.problem(("ablate", dotted(key)), wrong))
            seen.add(key)


def _baseline(node: Node, axes: tuple[Axis, ...], problems: list[str]) -> dict[Setting, Any]:
    if not isinstance(node.value, dict):
        wrong = 'expected a table of settings, as in { "sampler.type" = "ancestral" }'
        problems.append(node.source.problem(("ablate", "baseline"), wrong))
        return {}
    columns = {
        key: [row[i].plain() for row in axis.rows]
        for axis in axes
        for i, key in enumerate(axis.keys)
    }
    chosen = {}
    for key, leaf in _entries(node, problems):
        place: KeyPath = ("ablate", "baseline", dotted(key))
        if key not in columns:
            varied = ", ".join(map(dotted, columns)) or "nothing"
            problems.append(leaf.source.problem(place, f"does not vary; what varies: {varied}"))
        elif leaf.plain() not in columns[key]:
            tried = ", ".join(map(show, columns[key]))
            wrong = f"{show(leaf.value)} is not tried; expected one of {tried}"
            problems.append(leaf.source.problem(place, wrong))
        else:
            chosen[key] = leaf.plain()
    return chosen
