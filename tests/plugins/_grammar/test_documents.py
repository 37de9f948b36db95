"""A document that satisfies a schema is one that its pattern matches, written without spaces."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_plugins._grammar.documents import satisfies
from aios_plugins._grammar.machine import compile_pattern
from aios_plugins._grammar.schema import compile_schema

SCHEMAS = [
    {"type": ["string", "null"], "minLength": 1, "maxLength": 3},
    {"type": "string", "pattern": "^a+b$"},
    {"enum": [1, "a", None, True, [1], {"a": 1}]},
    {"const": 1},
    {"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/b"}], "$defs": {"b": {"type": "integer"}}},
    {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
        "required": ["b"],
    },
]


def documents():
    plain = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "aab", "b"])
    return st.recursive(
        plain,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
        ),
        max_leaves=4,
    )


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
@given(document=documents())
def test_it_agrees_with_the_pattern_and_with_jsonschema(schema, document):
    if isinstance(document, dict):
        document = dict(sorted(document.items()))  # the order of the schema
    text = json.dumps(document, separators=(",", ":")).encode()
    strict = {**schema, "additionalProperties": False} if "properties" in schema else schema

    result = satisfies(document, schema)
    assert compile_pattern(compile_schema(schema)).matches(text) == result
    assert jsonschema.Draft202012Validator(strict).is_valid(document) == result


def test_keys_may_stand_in_any_order():
    assert satisfies({"b": "x", "a": 1}, SCHEMAS[-1])
