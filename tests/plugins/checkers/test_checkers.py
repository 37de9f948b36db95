"""The checkers meet their contract."""

import pytest

from aios_core.config import resolve
from aios_core.errors import ConfigError
from aios_core.testing.contracts.checker import CheckerContract, completion
from aios_plugins.checkers.json import MOST_TEXT, Json
from aios_plugins.checkers.regex import Regex

SCHEMA = """{
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "size": {"enum": [1, 2, "large"]},
        "of": {"type": "array", "items": {"type": ["integer", "null"]}, "maxItems": 2}
    },
    "required": ["name"]
}"""


class TestRegex(CheckerContract):
    component = Regex(pattern="(a|aa)*b|[0-9+]+")


class TestSchema(CheckerContract):
    component = Json(schema=SCHEMA)


def right(checker, answer):
    return checker.check(completion("", answer))


@pytest.mark.parametrize(
    ("pattern", "right_ones", "wrong_ones"),
    [
        ("[0-9]+", ["7", "123"], ["", "12a", " 1", "1\n"]),
        ("Q:.*= A:[0-9]+", ["Q:1+2= A:3"], ["Q:1+2= A:", "x Q:1+2= A:3"]),
        ("(é|\\U0001f600)?", ["", "é", "\U0001f600"], ["e", "éé"]),
    ],
)
def test_an_answer_matches_as_a_whole(pattern, right_ones, wrong_ones):
    checker = Regex(pattern)

    assert [True] * len(right_ones) == [right(checker, answer) for answer in right_ones]
    assert [False] * len(wrong_ones) == [right(checker, answer) for answer in wrong_ones]


def test_an_expression_that_backtracks_elsewhere_reads_an_answer_once():
    """With Python's `re` this takes longer than anybody waits."""
    assert not right(Regex("(a*)*b"), "a" * 200_000)


@pytest.mark.parametrize("pattern", ["(", "a{100000}", r"(a)\1", "[ab]*a[ab]{20}"])
def test_an_expression_that_cannot_be_an_automaton_of_some_size_is_refused(pattern):
    held = {"type": "regex", "pattern": pattern}
    with pytest.raises(ConfigError, match=r"metrics\[0\]\.checker\.pattern"):
        resolve({"metrics": [{"type": "checked", "checker": held}]})


@pytest.mark.parametrize("answer", ["{}", "[1, 2]", ' "a"\n', "1e5", "null", '{"a": [{}]}'])
def test_documents_are_right(answer):
    assert right(Json(), answer)


@pytest.mark.parametrize(
    "answer",
    ["", "{", "{} {}", "{'a': 1}", '{"a": 1, "a": 2}', "[1,]", "NaN", "[-Infinity]", '"\n"', "01"],
)
def test_what_is_no_document_is_wrong(answer):
    assert not right(Json(), answer)


def test_a_document_beyond_all_bounds_is_not_read():
    assert not right(Json(), "[" + "1," * MOST_TEXT + "1]")
    assert not right(Json(), "[" * 5000 + "]" * 5000)


@pytest.mark.parametrize(
    "answer",
    [
        '{"name": "ab"}',
        '{"size": "large", "name": "x"}',
        '{"name":"a","of":[1,null]}',
        '{"name":"\\u0061","size":2,"of":[]}',
    ],
)
def test_a_document_satisfies_a_schema_however_it_is_written(answer):
    assert right(Json(SCHEMA), answer)


@pytest.mark.parametrize(
    "answer",
    [
        "[]",
        "{}",
        '{"name": "A"}',
        '{"name": "a", "size": true}',
        '{"name": "a", "size": 3}',
        '{"name": "a", "of": [1, 2, 3]}',
        '{"name": "a", "of": [1.5]}',
        '{"name": "a", "more": 1}',
        '{"size": 1}',
    ],
)
def test_other_documents_do_not(answer):
    assert not right(Json(SCHEMA), answer)


@pytest.mark.parametrize("schema", ["{", "[" * 5000, "[]", '{"maximum": 3}', '{"type": "text"}'])
def test_what_is_no_schema_is_refused(schema):
    held = {"type": "json", "schema": schema}
    with pytest.raises(ConfigError, match=r"metrics\[0\]\.checker\.schema"):
        resolve({"metrics": [{"type": "checked", "checker": held}]})
