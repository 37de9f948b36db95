"""JSON Schema of configuration files, so that editors complete, explain and check them.

Built from the same classes that the reader builds, those of installed plugins among them. The words
are those of draft 4, which every editor's TOML support understands. What only code can say (a
validator of a plugin's own, fields that depend on each other) the reader alone checks.
"""

from __future__ import annotations

import inspect
import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
from attrs import NOTHING, Attribute

from aios_core.config.schema import config_of
from aios_core.config.types import fields, hints, kind_of
from aios_core.errors import PluginError
from aios_core.fields import field_docs

if TYPE_CHECKING:
    from aios_core.registry import Component, Registry

Schema = dict[str, Any]

_SCALARS: Final[dict[Any, Schema]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    str: {"type": "string"},
    Path: {"type": "string"},
    Any: {},
}

_OWN: Final[Schema] = {
    "extends": {
        "description": "Files that this one builds on, relative to it; later ones win.",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    },
    "ablate": {
        "description": 'What varies: a grid of "section.key" = [values].',
        "type": "object",
        "properties": {
            "zip": {
                "description": "Lists of equal length that vary together.",
                "type": "array",
                "items": {"type": "object"},
            },
            "baseline": {
                "description": "Settings of the arm that others are compared with.",
                "type": "object",
            },
        },
        "additionalProperties": {"anyOf": [{"type": "array", "minItems": 1}, {"type": "object"}]},
    },
    "lock": {"description": "Written by a run; `aios run` checks it.", "type": "object"},
}


def json_schema(registry: Registry) -> Schema:
    """The schema of a configuration file.

    Args:
        registry: whose components may be named.
    """
    parts = _Parts(registry)
    properties = dict(_OWN)
    schema: Any = config_of(registry)
    docs = field_docs(schema)
    for key, attribute in fields(schema).items():
        meta = attribute.metadata
        if "kind" not in meta:
            properties[key] = field_schema(attribute, hints(schema)[key], docs.get(key))
            continue
        default = None if meta.get("many") else meta["default"]
        item = parts.any_of(meta["kind"], default)
        properties[key] = {"type": "array", "items": item} if meta.get("many") else item
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": "A configuration of ai-os-diffusion",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"definitions": parts.definitions} if parts.definitions else {}),
    }


class _Parts:
    """Schemas of components; those inside others are defined once, for they may hold such again."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.contracts = {kind.contract: kind.name for kind in registry.kinds.values()}
        self.definitions: Schema = {}

    def any_of(self, kind: str, default: str | None = None) -> Schema:
        """A component of a kind.

        Args:
            kind: its name.
            default: the component that is meant where no type is named.
        """
        offered = self.registry.components(kind)
        if not offered:  # of nothing there is no table
            return {"not": {}}
        return {"anyOf": [_component(component, default, self) for component in offered]}

    def inside(self, hint: Any) -> Schema | None:
        """A component that another one holds; None where the type is the contract of no kind."""
        kind = kind_of(hint, self.contracts)
        if kind is None:
            return None
        if kind not in self.definitions:
            self.definitions[kind] = {}
            self.definitions[kind] = self.any_of(kind)
        return {"$ref": f"#/definitions/{kind}"}


def _component(component: Component, default: str | None, parts: _Parts) -> Schema:
    """The section of one component; the default one needs no type."""
    named: Schema = {"enum": [component.name]}
    try:
        cls = component.load()
        schema = _table(cls, parts)
    except PluginError as error:
        # It cannot be used, which the reader explains; an editor need not refuse its other keys.
        schema = {"type": "object", "description": str(error), "properties": {}}
    schema["title"] = component.name
    schema["properties"] = {"type": named, **schema["properties"]}
    if component.name != default:
        schema["required"] = ["type", *schema.get("required", [])]
    return schema


def _table(cls: Any, parts: _Parts | None) -> Schema:
    docs, types_ = field_docs(cls), hints(cls)
    schema: Schema = {
        "type": "object",
        "description": inspect.getdoc(cls) or "",
        "properties": {
            key: field_schema(attribute, types_[attribute.name], docs.get(attribute.name), parts)
            for key, attribute in fields(cls).items()
        },
        "additionalProperties": False,
    }
    required = [key for key, attribute in fields(cls).items() if attribute.default is NOTHING]
    if required:  # draft 4 allows no empty list
        schema["required"] = required
    return schema


def field_schema(
    attribute: Attribute[Any], hint: Any, doc: str | None = None, parts: _Parts | None = None
) -> Schema:
    """What a field of an attrs class may hold, as far as its type and its validators tell.

    Args:
        attribute: the field.
        hint: its type.
        doc: the string below it.
        parts: what components inside others are; None: nothing is said of these.
    """
    schema = _type(hint, parts)
    _bounds(attribute.validator, schema)
    if doc:
        schema["description"] = doc
    default: Any = attribute.default
    if isinstance(default, bool | int | float | str):
        schema["default"] = default
    elif isinstance(default, tuple):
        schema["default"] = list(default)
    return schema


def _type(hint: Any, parts: _Parts | None) -> Schema:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        members = [_type(member, parts) for member in arguments if member is not types.NoneType]
        return members[0] if len(members) == 1 else {"anyOf": members}
    if origin is tuple:
        if Ellipsis in arguments:
            return {"type": "array", "items": _type(arguments[0], parts)}
        items = [_type(item, parts) for item in arguments]
        return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(arguments[1], parts)}
    held = None if parts is None else parts.inside(hint)
    if held is None:
        held = _table(hint, parts) if attrs.has(hint) else dict(_SCALARS.get(hint, {}))
    return held


def _bounds(validator: Any, schema: Schema) -> None:
    """Add what a validator of attrs asks for; others say nothing that a schema could."""
    match type(validator).__name__:  # their classes are private, their attributes are documented
        case "_NumberValidator":
            word = "minimum" if ">" in validator.compare_op else "maximum"
            schema[word] = validator.bound
            if "=" not in validator.compare_op:
                schema[f"exclusive{word.capitalize()}"] = True
        case "_AndValidator":
            for part in validator._validators:  # noqa: SLF001
                _bounds(part, schema)
        case "_OptionalValidator":
            _bounds(validator.validator, schema)
        case "_InValidator":
            schema["enum"] = list(validator.options)
        case "_MatchesReValidator":
            schema["pattern"] = f"^(?:{validator.pattern.pattern})$"
        case "_MinLengthValidator":
            schema["minItems" if schema.get("type") == "array" else "minLength"] = (
                validator.min_length
            )
        case "_MaxLengthValidator":
            schema["maxItems" if schema.get("type") == "array" else "maxLength"] = (
                validator.max_length
            )
