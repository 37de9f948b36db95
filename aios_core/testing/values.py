"""Components with values drawn from the types and validators of their fields, of every kind.

A suite that builds components from their defaults alone knows nothing of all other values that a
configuration may set.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterator
from typing import Any, Final, Literal

import attrs
from hypothesis import strategies as st

from aios_core.config.json_schema import field_schema
from aios_core.config.types import fields, hints

MOST: Final = 64
"""Largest whole number that is drawn, or twice a field's smallest: more steps, layers and rows take
time."""

TINY: Final = 1e-100
"""Smallest of the numbers that are drawn, besides 0: what it multiplies does not vanish."""


def components(cls: Any) -> st.SearchStrategy[Any]:
    """Instances of a component's class, of values that its own validators take.

    Args:
        cls: an attrs class; fields whose values mean something elsewhere (paths, free texts) keep
            their defaults.
    """
    return (
        field_values(cls)
        .map(lambda values: _made(cls, values))
        .filter(lambda value: value is not _NO)
    )


def field_values(cls: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Values by key for some of a class's fields, each within the bounds of its own validator."""
    drawn = {}
    for key, attribute in fields(cls).items():
        hint = hints(cls)[attribute.name]
        strategy = _values(hint, field_schema(attribute, hint))
        if strategy is not None:
            drawn[key] = strategy
    needed = {k: v for k, v in drawn.items() if fields(cls)[k].default is attrs.NOTHING}
    others = {k: v for k, v in drawn.items() if k not in needed}
    return st.fixed_dictionaries(needed, optional=others)


def edges(cls: Any) -> Iterator[dict[str, Any]]:
    """Values of one field at a time: each bound, and each of a few that it may have."""
    for key, attribute in fields(cls).items():
        hint = hints(cls)[attribute.name]
        for value in _ends(hint, field_schema(attribute, hint)):
            if value != attribute.default:
                yield {key: value}


def _ends(hint: Any, schema: dict[str, Any]) -> Iterator[Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if "enum" in schema or origin is Literal:
        yield from schema.get("enum", arguments)
    elif origin in (typing.Union, types.UnionType):
        for argument in arguments:
            yield from (None,) if argument is types.NoneType else _ends(argument, schema)
    elif hint is bool:
        yield from (False, True)
    elif hint in (int, float):
        for bound, beside, most in (
            ("minimum", "exclusiveMinimum", math.inf),
            ("maximum", "exclusiveMaximum", MOST if hint is int else math.inf),
        ):
            if bound in schema and not schema.get(beside) and schema[bound] <= most:
                yield hint(schema[bound])


_NO: Final = object()


def _made(cls: Any, values: dict[str, Any]) -> Any:
    try:
        return cls(**values)
    except (ValueError, TypeError):  # fields that do not go together
        return _NO


def _values(hint: Any, schema: dict[str, Any]) -> st.SearchStrategy[Any] | None:
    """Of a type within bounds; None where a drawn value would mean nothing."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    strategy: st.SearchStrategy[Any] | None = None
    if "enum" in schema or origin is Literal:
        strategy = st.sampled_from(schema.get("enum", arguments))
    elif origin in (typing.Union, types.UnionType):
        members = [
            st.none() if argument is types.NoneType else _values(argument, schema)
            for argument in arguments
        ]
        known = [member for member in members if member is not None]
        strategy = st.one_of(known) if known else None
    elif origin is tuple:
        strategy = _tuples(arguments)
    elif hint is bool:
        strategy = st.booleans()
    elif hint is int:
        low = schema.get("minimum", 0) + bool(schema.get("exclusiveMinimum"))
        high = schema.get("maximum", MOST) - bool(schema.get("exclusiveMaximum"))
        strategy = st.integers(low, max(low, min(high, max(MOST, 2 * low))))
    elif hint is float:
        strategy = _floats(schema)
    elif attrs.has(hint):
        strategy = components(hint)
    return strategy


def _tuples(arguments: tuple[Any, ...]) -> st.SearchStrategy[Any] | None:
    parts = [_values(argument, {}) for argument in arguments if argument is not Ellipsis]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    if Ellipsis in arguments:
        return st.lists(known[0], max_size=6).map(tuple)
    return st.tuples(*known)


def _floats(schema: dict[str, Any]) -> st.SearchStrategy[float]:
    """As often of the size of 1 as of any other size."""
    low, high = schema.get("minimum"), schema.get("maximum")
    open_low = bool(schema.get("exclusiveMinimum"))
    open_high = bool(schema.get("exclusiveMaximum"))
    everywhere = st.floats(
        None if low is None else float(low),
        None if high is None else float(high),
        exclude_min=open_low,
        exclude_max=open_high,
        allow_nan=False,
        allow_infinity=False,
    ).filter(lambda value: value == 0 or abs(value) > TINY)
    least = -10.0 if low is None else max(-10.0, low)
    most = 10.0 if high is None else min(10.0, high)
    if not least < most:
        return everywhere
    return everywhere | st.floats(least, most, exclude_min=open_low, exclude_max=open_high)
