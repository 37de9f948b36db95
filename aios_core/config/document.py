"""Configuration as a tree of values that remember where they were written, and how trees merge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

if TYPE_CHECKING:
    from aios_core.config.lines import KeyPath


@frozen
class Origin:
    """Where a value was written."""

    name: str
    """The file, ``"--set seed=1"``, or nothing for plain Python data."""
    folder: Path
    """What a relative path written there is relative to."""
    raw: str | None = None
    """The very text after the equals sign of a ``--set``, which a string may be taken from."""
    line: int = 0
    """From 1; 0 where there are no lines."""

    def problem(self, key: KeyPath, message: str) -> str:
        """One line of a `ConfigError`."""
        place = f"{self.name}:{self.line}" if self.line else self.name
        return ": ".join(part for part in (place, dotted(key), message) if part)


@frozen
class Node:
    """A value and where it was written; tables and arrays hold further nodes."""

    value: Any
    """A ``dict[str, Node]``, a ``list[Node]``, or what TOML has besides these."""
    source: Origin

    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def get(self, key: str) -> Node | None:
        """A child of a table; None where there is none or this is no table."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def without(self, *keys: str) -> Node:
        """A table that lacks some keys."""
        kept = {key: child for key, child in self.value.items() if key not in keys}
        return Node(kept, self.source)


def tree(values: Any, source: Origin, lines: Mapping[KeyPath, Origin] | None = None) -> Node:
    """Nodes for plain values; None in a table means that the key was left out.

    Args:
        values: what a TOML parser returns, or Python data like it.
        source: where all of it was written, as far as ``lines`` does not know better.
        lines: more exact places.
    """
    places = lines or {}

    def grow(value: Any, path: KeyPath, parent: Origin) -> Node:
        place = places.get(path, parent)
        inner = attrs.evolve(place, raw=None)
        if isinstance(value, Mapping):
            return Node(
                {k: grow(v, (*path, k), inner) for k, v in value.items() if v is not None}, place
            )
        if isinstance(value, list | tuple):
            return Node([grow(v, (*path, i), inner) for i, v in enumerate(value)], place)
        return Node(value, place)

    return grow(values, (), source)


def merge(base: Node, over: Node, default_types: Mapping[str, str]) -> Node:
    """A whole configuration with another one on top of it.

    Tables merge key by key, everything else is replaced. Where a section's ``type`` changes, the
    keys written for the old type go: they mean nothing, or something else, to the new one.

    Args:
        base: the lower one.
        over: the upper one.
        default_types: sections that hold one component, and the name taken where none is given.
    """
    merged = dict(base.value)
    for key, node in over.value.items():
        old = merged.get(key)
        named = node.get("type")
        switched = (
            old is not None
            and key in default_types
            and named is not None
            and named.value != type_of(old, default_types[key])
        )
        merged[key] = node if old is None or switched else _overlay(old, node)
    return Node(merged, base.source)


def type_of(section: Node | None, default: str) -> Any:
    """The component that a section names, or its default where it names none."""
    named = section.get("type") if section is not None else None
    return default if named is None else named.value


def _overlay(base: Node, over: Node) -> Node:
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    merged = dict(base.value)
    for key, node in over.value.items():
        merged[key] = _overlay(merged[key], node) if key in merged else node
    return Node(merged, base.source)


def dotted(key: KeyPath) -> str:
    """A key path as a person writes it: ``metrics[0].type``, ``plugins.use."noise.cosine"``."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = part.isascii() and part.replace("-", "").replace("_", "").isalnum()
            text += ("." if text else "") + (part if bare else json.dumps(part, ensure_ascii=False))
    return text
