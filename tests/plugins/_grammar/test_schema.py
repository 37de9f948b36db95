"""Which documents a schema has."""

import itertools
import json
import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_core.errors import InferenceError
from aios_plugins._grammar.machine import compile_pattern
from aios_plugins._grammar.pattern import complement, intersection, union
from aios_plugins._grammar.schema import compile_schema


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        (
            {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
            ["[1,2]", "[1,-20,3]"],
            ["[]", "[1]", "[1,2,3,4]", "[1,2,]", "[01,2]"],
        ),
        (
            {"type": "array", "items": {"type": "null"}, "maxItems": 1},
            ["[]", "[null]"],
            ["[null,null]"],
        ),
        ({"type": "array", "items": {"type": "null"}, "maxItems": 0}, ["[]"], ["[null]"]),
        (
            {"type": "array", "items": {"type": "null"}, "minItems": 1},
            ["[null]", "[null,null,null]"],
            ["[]"],
        ),
        ({"type": "string", "minLength": 1, "maxLength": 2}, ['"a"', '"é\\n"'], ['""', '"abc"']),
        (
            {
                "type": "object",
                "properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}},
                "required": ["b"],
            },
            ['{"b":2}', '{"a":1,"b":2}', '{"b":2,"c":3}', '{"a":1,"b":2,"c":3}'],
            ["{}", '{"a":1}', '{"c":3}', '{"b":2,"a":1}', '{"a":1,"c":3}', '{,"b":2}'],
        ),
        ({"enum": [1, True, "1"], "type": ["integer"]}, ["1"], ["true", '"1"']),
        ({"enum": [1, 2], "const": 2}, ["2"], ["1"]),
        ({"type": "number"}, ["-0.5e-10", "10", "0"], ["1e100", "1.", "00", "+1", "-"]),
        (
            {"type": "array", "items": {"type": "null"}, "minItems": 2},
            ["[null,null]", "[null,null,null]"],
            ["[]", "[null]", "[nullnull]"],
        ),
        ({"type": "integer"}, ["0", "-12", "10"], ["01", "-", "1.0", "+1", "-01", ""]),
        ({"type": "number"}, ["1E5", "-0.25e+10"], [".5", "1e", "01.5", "1e+"]),
        (
            {"type": "object", "properties": {key: {"type": "null"} for key in "abc"}},
            ["{}", '{"a":null}', '{"c":null}', '{"a":null,"c":null}', '{"b":null,"c":null}'],
            ['{"a":null"c":null}', '{,"a":null}', '{"d":null}', '{"a":null,"a":null}'],
        ),
        ({"type": "object"}, ["{}"], ['{"a":null}']),
        ({"enum": [1, True, 2.5], "type": ["number", "boolean"]}, ["1", "true", "2.5"], ["2"]),
        ({"const": {"a": [1, "b"]}}, ['{"a":[1,"b"]}'], ['{"a":[1, "b"]}']),
        ({"type": ["integer", "null"]}, ["3", "null"], ["true", "3null"]),
        (
            {"anyOf": [{"type": "boolean"}, {"const": 7}]},
            ["true", "false", "7"],
            ["null", "true7"],
        ),
        (
            {"$defs": {"a/b": {"c~d": {"type": "null"}}}, "$ref": "#/$defs/a~1b/c~0d"},
            ["null"],
            ["true"],
        ),
        ({"type": "string", "pattern": "^a+$"}, ['"a"', '"aaa"'], ['""', '"ba"', '"ab"']),
        ({"type": "string", "pattern": "b$"}, ['"b"', '"ab"'], ['"ba"']),
        ({"type": "string", "pattern": "^b"}, ['"b"', '"ba"'], ['"ab"']),
        ({"type": "string", "pattern": r"b\$"}, ['"b$"', '"ab$c"'], ['"ab"']),
    ],
)
def test_a_schema_has_these_documents_and_not_those(schema, right, wrong):
    result = compile_pattern(compile_schema(schema))

    assert [True] * len(right) == [result.matches(text.encode()) for text in right]
    assert [False] * len(wrong) == [result.matches(text.encode()) for text in wrong]


def nested(depth, inner):
    for _ in range(depth):
        inner = {"type": "array", "items": inner, "minItems": 1, "maxItems": 1}
    return inner


def test_schemas_may_lie_in_each_other_64_deep():
    """By items and by references, which count once each."""
    null, at = {"type": "null"}, {"$ref": "#/$defs/0"}
    chain = {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(63)} | {"63": null}
    for schema, text in ((nested(64, null), "[" * 64 + "null" + "]" * 64), (at, "null")):
        assert compile_pattern(compile_schema({**schema, "$defs": chain})).matches(text.encode())
    chain["63"], chain["64"] = {"$ref": "#/$defs/64"}, null
    for schema in (nested(65, null), at):
        with pytest.raises(InferenceError, match="recursive or too deep"):
            compile_schema({**schema, "$defs": chain})


@pytest.mark.parametrize(
    "inner",
    [
        {"type": "array", "items": {"$ref": "#"}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"anyOf": [{"type": "null"}, {"$ref": "#"}]},
        {"$ref": "#"},
    ],
    ids=["items", "properties", "anyOf", "reference"],
)
def test_a_schema_that_holds_itself_is_refused(inner):
    with pytest.raises(InferenceError, match="recursive or too deep"):
        compile_schema(inner)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": ["string", "text"]}, "expected one or some of string,"),
        ({"type": []}, "expected one or some of string,"),
        ({"type": "string", "pattern": "a", "maxLength": 2}, "together with a length"),
        ({"type": "string", "minLength": True}, "expected a whole number from 0 on"),
        ({"type": "array", "items": {"type": "null"}, "maxItems": -1}, "expected a whole number"),
        ({"type": "integer", "minLength": 1}, "'minLength' cannot be promised"),
        ({"enum": [1], "minimum": 3}, "'minimum' cannot be promised"),
        ({"anyOf": [{"type": "null"}], "type": "null"}, "'type' cannot be promised"),
        ({"const": 1, "type": "boolean"}, "no value is left"),
        ({"const": True, "type": "integer"}, "no value is left"),
        ({"enum": [1, 2], "const": True}, "no value is left"),
        ({"enum": [{"a": float("inf")}]}, "is no JSON"),
    ],
)
def test_what_would_be_passed_over_is_refused(schema, expected):
    with pytest.raises(InferenceError, match=re.escape(expected)):
        compile_schema(schema)


CODES = st.one_of(st.integers(0, 40), st.integers(0xD7F0, 0xE010), st.integers(0x10FFF0, 0x10FFFF))
PAIRS = st.lists(st.tuples(CODES, CODES).map(sorted).map(tuple), max_size=4)


@given(PAIRS, PAIRS)
def test_sets_of_characters_are_sets(pairs, other):
    """Complement, union and intersection, at the edges of ranges and around the surrogates."""

    def has(ranges, code):
        return any(low <= code <= high for low, high in ranges)

    first, second = union(tuple(pairs)), union(tuple(other))
    edges = {code + step for pair in pairs + other for code in pair for step in (-1, 0, 1)}
    for code in edges | {0, 0xD7FF, 0xD800, 0xDFFF, 0xE000, 0x10FFFF}:
        if 0 <= code <= 0x10FFFF:
            character = not 0xD800 <= code <= 0xDFFF
            assert has(pairs, code) == has(first, code)
            assert (has(pairs, code) or has(other, code)) == has(union(first, second), code)
            assert (has(pairs, code) and has(other, code)) == has(intersection(first, second), code)
            assert (character and not has(pairs, code)) == has(complement(first), code)


@pytest.mark.parametrize(
    "string",
    [
        {},
        {"minLength": 1, "maxLength": 2},
        *({"pattern": text} for text in (".", "^.*$", "[^x]", r"^\W{2}", r"\D\S$", r"\s", "[ -~]")),
        *({"pattern": text} for text in (r"(?:.|\n)", r"^[\x00-\x7f]+$", r"[!-#]", r"[\[-\]]a")),
    ],
    ids=str,
)
def test_no_character_of_a_string_ends_or_breaks_it(string):
    """Quotes, backslashes and control characters stand in JSON behind a backslash or not at all.

    Of all short strings, as a value, as an item and as a property.
    """
    schema = {"type": "string", **string}
    listed = {"type": "array", "items": schema}
    named = {"type": "object", "properties": {'"k': schema}, "required": ['"k']}
    cases = (("", "", schema), ("[", "]", listed), ('{"\\"k":', "}", named))
    for before, after, whole in cases:
        machine, accepted = compile_pattern(compile_schema(whole)), 0
        for size in range(4):
            for inner in itertools.product('"#\\]\n\tna \x1f\x7f', repeat=size):
                text = f'{before}"{"".join(inner)}"{after}'
                if machine.matches(text.encode()):
                    jsonschema.validate(json.loads(text), whole)
                    accepted += 1
        assert accepted > 0


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, "expected a type"),
        ([], "expected an object"),
        ({"type": "text"}, "type is"),
        ({"type": "integer", "minimum": 3}, "'minimum' cannot be promised"),
        ({"type": "string", "format": "date"}, "'format' cannot be promised"),
        (
            {"type": "string", "minLength": 3, "maxLength": 2},
            "of 3 or more, as minLength is, got 2",
        ),
        ({"type": "string", "minLength": -1}, "expected a whole number"),
        ({"type": "string", "pattern": "a", "minLength": 2}, "together with a length"),
        ({"type": "string", "pattern": "^a|b$"}, "ambiguous"),
        ({"type": "array"}, "an array: expected the key items"),
        ({"enum": [1], "type": "string"}, "no value is left"),
        ({"enum": []}, "expected an array that is not empty"),
        ({"const": float("nan")}, "is no JSON"),
        ({"type": "object", "required": ["x"]}, "'x' is required"),
        ({"$ref": "#/no"}, "leads nowhere"),
        ({"$ref": "http://x"}, "leads out"),
        ({"type": "array", "items": {"$ref": "#"}}, "recursive"),
        ({"oneOf": [{"type": "null"}]}, "expected a type"),
    ],
)
def test_what_no_pattern_can_promise_is_refused(schema, expected):
    with pytest.raises(InferenceError, match=expected):
        compile_schema(schema)
