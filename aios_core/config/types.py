"""Values of a file to values of a field: strict, nothing is coerced but an integer to a float."""

from __future__ import annotations

import json
import math
import os
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import attrs

from aios_core.errors import PluginError

if TYPE_CHECKING:
    from attrs import Attribute

    from aios_core.config.document import Node
    from aios_core.config.lines import KeyPath
    from aios_core.registry import Registry

WRONG: Final[Any] = object()
"""Returned instead of a value that could not be converted; the problem has been recorded."""

MAX_INT: Final = 2**63 - 1
"""What TOML, Arrow and torch can hold."""

_WORDS: Final[dict[Any, str]] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a string",
    Path: "a path",
}


class Reading(Protocol):
    """What a conversion needs from the reading of a configuration that it is part of."""

    def tell(self, node: Node, key: KeyPath, message: str) -> None:
        """Record a problem: where, which key, and what is wrong."""

    def build(self, cls: Any, table: Node, key: KeyPath) -> Any:
        """An attrs class from a table, or `WRONG`."""

    def kind_of(self, hint: Any) -> str | None:
        """The kind whose contract a type is; None: it is the contract of none."""

    def part(self, kind: str, node: Node, key: KeyPath) -> Any:
        """A component that another one holds, or `WRONG`."""


def fields(cls: Any) -> Mapping[str, Attribute[Any]]:
    """What a table may set of an attrs class, by key."""
    return _fields(cls)


@cache
def _fields(cls: Any) -> Mapping[str, Attribute[Any]]:
    return {a.alias or a.name: a for a in attrs.fields(cls) if a.init}


@cache
def hints(cls: Any) -> dict[str, Any]:
    """Types of a class's fields, string annotations resolved.

    Raises:
        PluginError: a name in an annotation cannot be resolved.
    """
    try:
        return typing.get_type_hints(cls)
    except (NameError, TypeError, AttributeError) as error:
        raise PluginError(
            f"{cls.__module__}.{cls.__qualname__}: the types of its fields cannot be read: "
            f"{error}; import what they name outside `if TYPE_CHECKING`"
        ) from error


def parts(
    cls: Any, values: Mapping[str, Any], registry: Registry
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The components that one holds in its fields: the kind and the values of each.

    Args:
        cls: its class.
        values: its own, as plain data.
        registry: whose kinds there are.
    """
    contracts = {kind.contract: kind.name for kind in registry.kinds.values()}
    for name in fields(cls):
        yield from _parts(hints(cls).get(name), values.get(name), contracts)


def _parts(
    hint: Any, value: Any, contracts: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, list):
        inner, *_ = typing.get_args(hint) or (None,)
        for item in value:
            yield from _parts(inner, item, contracts)
    elif isinstance(value, dict):
        for member in (hint, *typing.get_args(hint)):
            if (kind := kind_of(member, contracts)) is not None:
                yield kind, value


def kind_of(hint: Any, contracts: Mapping[str, str]) -> str | None:
    """The kind whose contract a type is; None: it is the contract of none.

    Args:
        hint: the type of a field.
        contracts: kinds by their contract, ``"module:Class"``.
    """
    if not isinstance(hint, type):
        return None
    return contracts.get(f"{hint.__module__}:{hint.__qualname__}")


def convert(node: Node, hint: Any, key: KeyPath, reading: Reading) -> Any:
    """The value of a node as a field of type ``hint`` expects it, or `WRONG`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        members = [member for member in arguments if member is not types.NoneType]
        hint = members[0] if len(members) == 1 else _member(node.value, members)
        if hint is not None:
            return convert(node, hint, key, reading)
        value, hint = WRONG, typing.Union[tuple(members)]  # noqa: UP007  # of a list
    elif origin is tuple and isinstance(node.value, list):
        return _tuple(node, hint, key, reading)
    elif origin is dict and isinstance(node.value, dict):
        items = {k: convert(v, arguments[1], (*key, k), reading) for k, v in node.value.items()}
        return WRONG if WRONG in items.values() else items
    elif isinstance(node.value, dict) and (kind := reading.kind_of(hint)) is not None:
        return reading.part(kind, node, key)
    elif attrs.has(hint) and isinstance(node.value, dict):
        return reading.build(hint, node, key)
    else:
        value = _scalar(node, hint, arguments if origin is Literal else ())
    if value is WRONG:
        reading.tell(
            node, key, f"expected {describe(hint)}, got {show(node.value)}{_hint(node, hint)}"
        )
    return value


def _hint(node: Node, hint: Any) -> str:
    """What a value may have been meant for."""
    value = node.value
    if hint in (str, Path) and not isinstance(value, str | dict | list):
        return f'; in quotes it is one: "{value}"'
    if hint is int and type(value) is int:
        return f"; expected at most {MAX_INT}"
    if hint is float and type(value) is float:
        return "; expected a finite one"
    return ""


def _scalar(node: Node, hint: Any, literals: tuple[Any, ...]) -> Any:
    value = node.value
    textual = hint in (str, Path) or any(isinstance(literal, str) for literal in literals)
    if textual and not isinstance(value, str) and node.source.raw is not None:
        value = node.source.raw  # a bare word on the command line that happens to look like TOML
    if literals:
        same = (
            literal for literal in literals if type(literal) is type(value) and literal == value
        )
        return next(same, WRONG)
    if hint is Any:
        return node.plain()
    if hint is float:
        return float(value) if _is_number(value) else WRONG
    if hint is int and type(value) is int and abs(value) > MAX_INT:
        return WRONG
    if hint is Path and isinstance(value, str) and value and "\0" not in value:
        # By text, as relative paths of a lock are made: "run/../x" is "x" even if run is a link.
        return Path(os.path.normpath(node.source.folder / value))
    return value if type(value) is hint else WRONG


def _is_number(value: Any) -> bool:
    """Whether a float can hold it, and it is a number: no bool, no NaN, no infinity."""
    if type(value) is int:
        return abs(value) < 2**1023
    return type(value) is float and math.isfinite(value)


def _member(value: Any, members: list[Any]) -> Any:
    """The member of a union that a value can only mean; 3 is an int before it is a float."""

    def fits(hint: Any) -> bool:
        origin = typing.get_origin(hint)
        if isinstance(value, dict):  # of classes without fields, those of contracts
            return origin is dict or attrs.has(hint) or _is_contract(hint)
        if isinstance(value, list):
            return origin is tuple
        if origin is Literal:
            return value in typing.get_args(hint)
        return hint is Any or type(value) in _ACCEPTED.get(hint, ())

    members = sorted(members, key=lambda hint: hint is not type(value))
    return next((hint for hint in members if fits(hint)), None)


_ACCEPTED: Final[dict[Any, tuple[type, ...]]] = {
    int: (int,),
    float: (float, int),
    bool: (bool,),
    str: (str,),
    Path: (str,),
}


def _tuple(node: Node, hint: Any, key: KeyPath, reading: Reading) -> Any:
    arguments = typing.get_args(hint)
    if Ellipsis in arguments:
        arguments = (arguments[0],) * len(node.value)
    elif len(arguments) != len(node.value):
        reading.tell(node, key, f"expected {describe(hint)}, got {len(node.value)} values")
        return WRONG
    pairs = enumerate(zip(node.value, arguments, strict=True))
    items = [convert(item, inner, (*key, i), reading) for i, (item, inner) in pairs]
    return WRONG if WRONG in items else tuple(items)


def describe(hint: Any) -> str:
    """A type in the words of someone who writes a file."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(map(show, arguments))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(member) for member in arguments if member is not types.NoneType)
    if origin is tuple and Ellipsis in arguments:
        return f"an array, of each {describe(arguments[0])}"
    if origin is tuple:
        return f"an array of {len(arguments)}: {', '.join(map(describe, arguments))}"
    if origin is dict:
        return f"a table, of each {describe(arguments[1])}"
    table = attrs.has(hint) or _is_contract(hint)
    return _WORDS.get(hint) or ("a table" if table else str(hint))


def _is_contract(hint: Any) -> bool:
    """Whether a class may be the contract of a kind: no value of a file is of its type."""
    return isinstance(hint, type) and hint not in _WORDS


def show(value: Any) -> str:
    """A value as a file would write it, cut when it is long."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "an array"
    is_json = isinstance(value, bool | str)
    text = json.dumps(value, ensure_ascii=False) if is_json else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
