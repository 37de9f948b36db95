"""``--set key=value``: overrides from the command line, as one tree on top of the files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from aios_core.config.document import Node, Origin, tree
from aios_core.config.upgrade import upgraded
from aios_core.errors import ConfigError

_WORD: Final = re.compile(r"[\w-]+")


def key_path(text: str) -> tuple[str, ...] | None:
    """The parts of a TOML key such as ``plugins.use."noise.cosine"``; None if it is no key."""
    try:
        table: Any = tomllib.loads(f"{text} = 0") if "\n" not in text else {}
    except tomllib.TOMLDecodeError:  # TOML requires quotes around the letters of most languages
        bare = text.split(".")
        return tuple(bare) if all(_WORD.fullmatch(part) for part in bare) else None
    parts = []
    while isinstance(table, dict) and len(table) == 1:
        ((key, table),) = table.items()
        parts.append(key)
    return tuple(parts) if parts and table == 0 else None


def layer(overrides: Sequence[str]) -> Node:
    """All overrides in one tree; the last one of a key counts, order has no other meaning.

    A value is TOML, so that ``--set training.steps=100`` is a number. What is not valid TOML is a
    string without its quotes.

    Raises:
        ConfigError: an override that is not ``key=value``, all such at once.
    """
    root = Node({}, Origin("--set", Path.cwd()))
    problems = []
    for override in overrides:
        key, equals, raw = override.partition("=")
        while equals and key.count('"') % 2:  # the sign stood inside a quoted key
            more, equals, raw = raw.partition("=")
            key = f"{key}={more}"
        path = key_path(key.strip())
        source = Origin(f"--set {override}", Path.cwd(), raw)
        if not equals or path is None:
            problems.append(source.problem((), "expected key=value, as in sampler.steps=16"))
        else:
            put(root, path, tree(_value(raw), source))
    if problems:
        raise ConfigError(*problems)
    return upgraded(root)


def _value(raw: str) -> Any:
    try:
        table = tomllib.loads(f"v = {raw}")
    except (ValueError, RecursionError):  # of the syntax, or of a number with too many digits
        return raw
    return table["v"] if len(table) == 1 else raw


def put(root: Node, path: tuple[str, ...], node: Node) -> None:
    """Set one key of a tree, making the tables on the way."""
    table = root
    for part in path[:-1]:
        child = table.value.get(part)
        if child is None or not isinstance(child.value, dict):
            child = Node({}, node.source)
            table.value[part] = child
        table = child
    table.value[path[-1]] = node
