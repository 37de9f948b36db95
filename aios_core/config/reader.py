"""Reads TOML files into trees: syntax errors with their line, ``extends`` with its chain."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aios_core.config.document import Node, Origin, merge, tree
from aios_core.config.lines import find_lines
from aios_core.config.upgrade import upgraded
from aios_core.errors import ConfigError
from aios_core.files import no_file

MAX_BYTES: Final = 4 * 2**20
"""A configuration is small; a larger file is something else, given by mistake."""

_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

_DIGITS: Final = re.compile(r"[0-9_]{4300,}")
"""More digits than Python makes an integer of."""


def read(path: Path, default_types: Mapping[str, str], *, chain: tuple[Path, ...] = ()) -> Node:
    """A file and all that it extends, merged; the tables of `OWN_KEYS` are still in it.

    Args:
        path: the file; messages name it just so.
        default_types: as for `aios_core.config.document.merge`.
        chain: the files that led here by ``extends``.

    Raises:
        ConfigError: unreadable, no valid TOML, or extending itself.
    """
    node = _parse(path)
    extends = node.get("extends")
    if extends is None:
        return node
    bases = extends.value if isinstance(extends.value, list) else [extends]
    merged = Node({}, node.source)
    for base in bases:
        if not isinstance(base.value, str):
            wrong = f"expected the name of a file or an array of them, got {base.plain()!r}"
            raise ConfigError(base.source.problem(("extends",), wrong))
        target = path.parent / base.value
        seen = [*chain, path]
        if target.resolve() in [file.resolve() for file in seen]:
            loop = " -> ".join(str(file) for file in [*seen, target])
            raise ConfigError(base.source.problem(("extends",), f"a file extends itself: {loop}"))
        if not target.is_file():
            raise ConfigError(base.source.problem(("extends",), f"there is no file {target}"))
        # A snapshot describes the run it came from, not the one that builds on its values.
        merged = merge(
            merged, read(target, default_types, chain=tuple(seen)).without("lock"), default_types
        )
    return merge(merged, node.without("extends"), default_types)


def _parse(path: Path) -> Node:
    text = _text(path)
    try:
        values = tomllib.loads(text)
        lines = find_lines(text)
        folder = path.parent.absolute()
        places = {key: Origin(str(path), folder, line=line) for key, line in lines.items()}
        return upgraded(tree(values, Origin(str(path), folder), places))
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        line = len(text.splitlines()) or 1
        if place is not None:
            message = message[: place.start()]
            if place[1] is not None:
                line, message = int(place[1]), f"{message} (column {place[2]})"
        raise ConfigError(f"{path}:{line}: not valid TOML: {message}") from None
    except ValueError:  # of int: Python reads no more digits
        digits = _DIGITS.search(text)
        line = text.count("\n", 0, digits.start()) + 1 if digits else 1
        wrong = "a number has thousands of digits; expected at most 2**63 - 1"
        raise ConfigError(f"{path}:{line}: {wrong}") from None
    except RecursionError:
        raise ConfigError(f"{path}: not a configuration: nested too deeply") from None


def _text(path: Path) -> str:
    if wrong := no_file(path):
        raise ConfigError(f"{path}: {wrong}; expected a TOML file")
    if not path.is_file():
        raise ConfigError(f"{path}: is no regular file; expected a TOML file")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(f"{path}: {size} bytes; a configuration has at most {MAX_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        wrong = f"byte {data[error.start]:#04x} is not valid UTF-8; expected a text file in UTF-8"
        raise ConfigError(f"{path}:{line}: {wrong}") from None
