r"""JSON schemas as patterns: of all documents that satisfy one, those without spaces.

What cannot be said as a pattern is refused, for a keyword that is passed over is a broken promise.
Objects have the properties that are named, in that order, and no others; strings are written
without ``\\u`` escapes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aios_core import strict_json
from aios_core.errors import InferenceError
from aios_plugins._grammar.expression import parse
from aios_plugins._grammar.pattern import (
    ANY,
    EMPTY,
    Chars,
    Pattern,
    Repeat,
    alt,
    cat,
    choice,
    complement,
    intersection,
    literal,
    restrict,
)

_NOTES: Final = {"title", "description", "default", "examples", "deprecated"}
_NOTES_AT_ROOT: Final = {"$schema", "$id", "$defs", "definitions", "$comment"}
_KEYWORDS: Final[dict[str, set[str]]] = {
    "string": {"minLength", "maxLength", "pattern"},
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "integer": set(),
    "number": set(),
    "boolean": set(),
    "null": set(),
}
_PYTHON: Final[dict[str, Any]] = {
    "string": str,
    "object": dict,
    "array": list,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_PLAIN: Final = intersection(complement(((0, 0x1F), (0x22, 0x22), (0x5C, 0x5C))), ANY)
_CHARACTER: Final = alt([Chars(_PLAIN), parse(r'\\["\\/bfnrt]')])
_INTEGER: Final = parse(r"-?(0|[1-9][0-9]*)")
_NUMBER: Final = parse(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")
_MOST_DEPTH: Final = 64


def read_schema(text: str) -> dict[str, Any]:
    """A schema that `compile_schema` takes.

    Args:
        text: the schema, in JSON.

    Raises:
        InferenceError: it is no JSON, or what `compile_schema` refuses.
    """
    try:
        schema: dict[str, Any] = strict_json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InferenceError(f"json_schema: {text!r:.40} is no JSON: {error}") from error
    compile_schema(schema)
    return schema


def compile_schema(schema: Mapping[str, Any]) -> Pattern:
    """The pattern of documents that satisfy a schema.

    Supported: ``type`` (one or several), ``enum``, ``const``, ``anyOf``, ``$ref`` into the schema
    itself unless it is recursive, and for strings ``minLength``, ``maxLength`` or ``pattern``,
    for arrays ``items``, ``minItems`` and ``maxItems``, for objects ``properties`` and
    ``required``.

    Raises:
        InferenceError: the schema is none, uses something else, or no document satisfies it.
    """
    return _Compiler(schema).of(schema, "#", 0)


class _Compiler:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root

    def fail(self, where: str, reason: str) -> InferenceError:
        return InferenceError(f"json_schema, {where}: {reason}")

    def of(self, schema: Any, where: str, depth: int) -> Pattern:
        if not isinstance(schema, Mapping):
            raise self.fail(
                where, f"expected an object, got {json.dumps(schema, default=str)[:40]}"
            )
        if depth > _MOST_DEPTH:
            raise self.fail(where, "the schema is recursive or too deep")
        notes = _NOTES | (_NOTES_AT_ROOT if depth == 0 else set())
        keys = schema.keys() - notes
        if "$ref" in keys:
            self.only(schema, keys, {"$ref"}, where)
            return self.of(self.find(schema["$ref"], where), str(schema["$ref"]), depth + 1)
        if "anyOf" in keys:
            self.only(schema, keys, {"anyOf"}, where)
            parts = self.listed(schema, "anyOf", where)
            return alt(
                [self.of(part, f"{where}/anyOf/{i}", depth + 1) for i, part in enumerate(parts)]
            )
        kinds = schema.get("type")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds is not None and not (
            isinstance(kinds, Sequence) and kinds and all(kind in _KEYWORDS for kind in kinds)
        ):
            raise self.fail(
                where, f"type is {kinds!r}; expected one or some of {', '.join(_KEYWORDS)}"
            )
        if "enum" in keys or "const" in keys:
            return self.values(schema, keys, kinds, where)
        if kinds is None:
            raise self.fail(where, "expected a type; a pattern cannot hold any document at all")
        self.only(schema, keys, {"type"}.union(*(_KEYWORDS[kind] for kind in kinds)), where)
        return alt([getattr(self, f"_{kind}")(schema, where, depth) for kind in kinds])

    def only(self, schema: Mapping[str, Any], keys: set[str], known: set[str], where: str) -> None:
        if unknown := sorted(keys - known):
            raise self.fail(
                where,
                f"{unknown[0]!r} cannot be promised here; known are {', '.join(sorted(known))}",
            )

    def listed(self, schema: Mapping[str, Any], key: str, where: str) -> Sequence[Any]:
        value = schema[key]
        if not isinstance(value, list | tuple) or not value:
            raise self.fail(where, f"{key}: expected an array that is not empty")
        return value

    def count(self, schema: Mapping[str, Any], key: str, where: str) -> int | None:
        value = schema.get(key)
        if value is not None and (type(value) is not int or value < 0):
            raise self.fail(where, f"{key} is {value!r}; expected a whole number from 0 on")
        return value

    def counts(self, schema: Mapping[str, Any], what: str, where: str) -> tuple[int, int | None]:
        least = self.count(schema, f"min{what}", where) or 0
        most = self.count(schema, f"max{what}", where)
        if most is not None and most < least:
            raise self.fail(
                where, f"expected max{what} of {least} or more, as min{what} is, got {most}"
            )
        return least, most

    def find(self, reference: Any, where: str) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise self.fail(where, f"$ref {reference!r} leads out of the schema")
        target: Any = self.root
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or name not in target:
                raise self.fail(where, f"$ref {reference!r} leads nowhere")
            target = target[name]
        return target

    def values(self, schema: Mapping[str, Any], keys: set[str], kinds: Any, where: str) -> Pattern:
        self.only(schema, keys, {"enum", "const", "type"}, where)
        values = list(self.listed(schema, "enum", where)) if "enum" in keys else [schema["const"]]
        if "const" in keys:
            values = [value for value in values if same(value, schema["const"])]
        if kinds is not None:
            values = [value for value in values if any(is_kind(value, kind) for kind in kinds)]
        if not values:
            raise self.fail(where, "no value is left, so no document satisfies it")
        return choice([_dump(value) for value in values])

    def _string(self, schema: Mapping[str, Any], where: str, depth: int) -> Pattern:
        inner: Pattern = Repeat(_CHARACTER, *self.counts(schema, "Length", where))
        if "pattern" in schema:
            if "minLength" in schema or "maxLength" in schema:
                raise self.fail(where, "pattern cannot be promised together with a length")
            text = schema["pattern"]
            if not isinstance(text, str):
                raise self.fail(where, f"pattern is {text!r}; expected a regular expression")
            if "|" in text and (text.startswith("^") or text.endswith("$")):
                raise self.fail(where, "an anchor next to | is ambiguous; expected ^(?:...)$")
            inner = restrict(parse(text), _PLAIN)
            around = Repeat(_CHARACTER, 0, None)
            inner = cat(EMPTY if text.startswith("^") else around, inner)
            ends = text.endswith("$") and not text.endswith("\\$")
            inner = cat(inner, EMPTY if ends else around)
        return cat(literal('"'), inner, literal('"'))

    def _integer(self, schema: Mapping[str, Any], where: str, depth: int) -> Pattern:
        return _INTEGER

    def _number(self, schema: Mapping[str, Any], where: str, depth: int) -> Pattern:
        return _NUMBER

    def _boolean(self, schema: Mapping[str, Any], where: str, depth: int) -> Pattern:
        return choice(["true", "false"])

    def _null(self, schema: Mapping[str, Any], where: str, depth: int) -> Pattern:
        return literal("null")

    def _array(self, schema: Mapping[str, Any], where: str, depth: int) -> Pattern:
        least, most = self.counts(schema, "Items", where)
        empty = literal("[]")
        if most == 0:
            return empty
        if "items" not in schema:
            raise self.fail(where, "an array: expected the key items")
        item = self.of(schema["items"], f"{where}/items", depth + 1)
        more = Repeat(
            cat(literal(","), item), max(least - 1, 0), None if most is None else most - 1
        )
        filled = cat(literal("["), item, more, literal("]"))
        return filled if least else alt([empty, filled])

    def _object(self, schema: Mapping[str, Any], where: str, depth: int) -> Pattern:
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        if not isinstance(properties, Mapping) or not isinstance(required, list | tuple):
            raise self.fail(
                where, "expected an object of properties and an array of those required"
            )
        if missing := [name for name in required if name not in properties]:
            raise self.fail(where, f"{missing[0]!r} is required and not among the properties")
        pairs = [
            cat(
                literal(_dump(name) + ":"),
                self.of(property_schema, f"{where}/properties/{name}", depth + 1),
            )
            for name, property_schema in properties.items()
        ]
        needed = [name in required for name in properties]
        rest: list[Pattern] = [EMPTY]  # what may follow from each property on, commas in front
        for pair, must in zip(reversed(pairs), reversed(needed), strict=True):
            member = cat(literal(","), pair)
            rest.append(cat(member if must else Repeat(member, 0, 1), rest[-1]))
        rest.reverse()
        firsts = []
        for place, (pair, must) in enumerate(zip(pairs, needed, strict=True)):
            firsts.append(cat(pair, rest[place + 1]))
            if must:
                break
        else:
            firsts.append(EMPTY)
        return cat(literal("{"), alt(firsts), literal("}"))


def _dump(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InferenceError(f"json_schema: {value!r:.40} is no JSON: {error}") from error


def same(first: Any, other: Any) -> bool:
    """Whether two values are one in JSON, where 1 is not true."""
    return _dump(first) == _dump(other)


def is_kind(value: Any, kind: str) -> bool:
    """Whether a value is of a type of JSON Schema."""
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _PYTHON[kind])
