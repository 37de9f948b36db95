"""Whether a document satisfies a schema, of those that `compile_schema` takes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from aios_core.contracts import Automaton
from aios_plugins._grammar.expression import ANYTHING, parse
from aios_plugins._grammar.machine import compile_pattern
from aios_plugins._grammar.pattern import EMPTY, Pattern, Repeat, cat
from aios_plugins._grammar.schema import is_kind, same


def satisfies(document: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a document satisfies a schema, in whatever order its keys stand.

    Objects have no properties but those that are named, as in texts of `compile_schema`.

    Args:
        document: what was read from JSON.
        schema: one that `compile_schema` takes.
    """
    return _satisfies(document, schema, schema)


def _satisfies(document: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    if "$ref" in schema:
        return _satisfies(document, _target(schema["$ref"], root), root)
    if "anyOf" in schema:
        return any(_satisfies(document, part, root) for part in schema["anyOf"])
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds is not None and not any(is_kind(document, kind) for kind in kinds):
        return False
    if "enum" in schema or "const" in schema:
        return _is_listed(document, schema)
    if isinstance(document, str):
        return _within(len(document), schema, "Length") and _matches(document, schema)
    return _has_right_parts(document, schema, root)


def _has_right_parts(document: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    if isinstance(document, list):
        return _within(len(document), schema, "Items") and all(
            _satisfies(item, schema["items"], root) for item in document
        )
    if isinstance(document, dict):
        properties = schema.get("properties", {})
        return set(schema.get("required", ())) <= set(document) <= set(properties) and all(
            _satisfies(value, properties[name], root) for name, value in document.items()
        )
    return True


def _is_listed(document: Any, schema: Mapping[str, Any]) -> bool:
    values = schema.get("enum", (schema.get("const"),))
    return any(same(document, value) for value in values) and (
        "const" not in schema or same(document, schema["const"])
    )


def _target(reference: str, root: Any) -> Any:
    for part in reference[1:].split("/")[1:]:
        root = root[part.replace("~1", "/").replace("~0", "~")]
    return root


def _within(count: int, schema: Mapping[str, Any], what: str) -> bool:
    most = schema.get(f"max{what}")
    return schema.get(f"min{what}", 0) <= count and (most is None or count <= most)


def _matches(text: str, schema: Mapping[str, Any]) -> bool:
    pattern = schema.get("pattern")
    return pattern is None or _automaton(pattern).matches(text.encode(errors="surrogatepass"))


@lru_cache(maxsize=64)
def _automaton(pattern: str) -> Automaton:
    """Of the texts in which a pattern lies, at the ends where it is anchored."""
    around: Pattern = Repeat(ANYTHING, 0, None)
    before = EMPTY if pattern.startswith("^") else around
    behind = EMPTY if pattern.endswith("$") and not pattern.endswith("\\$") else around
    return compile_pattern(cat(before, parse(pattern), behind))
