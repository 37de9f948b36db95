"""Which documents a schema has."""

import pytest

from aios_core.diffusion.constraints import compile_pattern, compile_schema


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
    ],
)
def test_a_schema_has_these_documents_and_not_those(schema, right, wrong):
    found = compile_pattern(compile_schema(schema))

    assert [True] * len(right) == [found.matches(text.encode()) for text in right]
    assert [False] * len(wrong) == [found.matches(text.encode()) for text in wrong]
