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
    found = compile_pattern(compile_schema(schema))

    assert [True] * len(right) == [found.matches(text.encode()) for text in right]
    assert [False] * len(wrong) == [found.matches(text.encode()) for text in wrong]
