"""The fields of a component in words, as ``aios plugins show`` prints them."""

from __future__ import annotations

import re
from typing import Any

import attrs
from attrs import frozen

from aios_core.config.types import describe, fields, hints, show
from aios_core.fields import field_docs

_BOUNDS = (
    (re.compile(r"<Validator for x ([<>]=? [^>]+)>"), "{}"),
    (re.compile(r"<in_ validator with options (.+?)>"), "one of {}"),
    (re.compile(r"<min_len validator for (\d+)>"), "at least {} long"),
    (re.compile(r"<max_len validator for (\d+)>"), "at most {} long"),
    (re.compile(r"<matches_re validator for pattern re\.compile\((.+?)\)>"), "matches {}"),
)
"""How attrs prints validators, and how we do; their classes are private, their text is not."""


@frozen
class Field:
    """One field of a component, as a person reads it."""

    name: str
    type: str
    """In the words of someone who writes a configuration."""
    required: bool
    """Whether a configuration must give it."""
    default: str | None
    """As a configuration would write it; None where there is none, or where it is unset."""
    bounds: tuple[str, ...]
    """What its validator asks for, as in ``> 0``."""
    doc: str
    """The string below it; empty where there is none, or no source to read it from."""


def describe_fields(cls: type) -> list[Field]:
    """The fields of an attrs class, in their order.

    Raises:
        PluginError: the type of a field cannot be resolved.
    """
    types, strings = hints(cls), field_docs(cls)
    return [
        Field(
            name=key,
            type=describe(types[attribute.name]),
            required=attribute.default is attrs.NOTHING,
            default=_default(attribute),
            bounds=_bounds(attribute),
            doc=strings.get(attribute.name, ""),
        )
        for key, attribute in fields(cls).items()
    ]


def _default(attribute: attrs.Attribute[Any]) -> str | None:
    default: Any = attribute.default
    if type(default).__name__ == "Factory":  # attrs.Factory is typed as a function
        if default.takes_self:
            return "computed"
        default = default.factory()
    if default is attrs.NOTHING or default is None:
        return None
    return repr(list(default)) if isinstance(default, tuple) else show(default)


def _bounds(attribute: attrs.Attribute[Any]) -> tuple[str, ...]:
    text = repr(attribute.validator)
    return tuple(form.format(bound) for pattern, form in _BOUNDS for bound in pattern.findall(text))
