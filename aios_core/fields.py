"""What a component's fields are, in words."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Any

import attrs
from attrs import frozen

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
    from aios_core.config.types import describe, hints

    types, strings = hints(cls), field_docs(cls)
    return [
        Field(
            name=attribute.name,
            type=describe(types[attribute.name]),
            required=attribute.default is attrs.NOTHING,
            default=_default(attribute),
            bounds=_bounds(attribute),
            doc=strings.get(attribute.name, ""),
        )
        for attribute in attrs.fields(cls)
        if attribute.init
    ]


def field_docs(cls: type) -> dict[str, str]:
    """The strings below the fields of a class and of its bases, read from the source."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        try:
            source = textwrap.dedent(inspect.getsource(base))
            (node,) = ast.parse(source).body
        except (OSError, SyntaxError, TypeError, ValueError):
            continue  # made at run time, or shipped without its source: it has fields all the same
        assert isinstance(node, ast.ClassDef)
        for above, below in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(above, ast.AnnAssign)
                and isinstance(above.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                found[above.target.id] = inspect.cleandoc(below.value.value)
    return found


def _default(attribute: attrs.Attribute[Any]) -> str | None:
    from aios_core.config.types import show

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
    return tuple(form.format(found) for one, form in _BOUNDS for found in one.findall(text))
