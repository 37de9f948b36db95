"""The filter language: its trees, its errors, and what they choose."""

import contextlib

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_core.errors import StorageError
from aios_core.filters import And, Compare, In, IsNull, Like, Not, Or, compares_texts, parse, sql
from aios_core.filters.arrow import mask
from aios_core.filters.tree import renamed
from aios_core.testing import strategies
from aios_core.testing.stores import truth

COLUMNS = {
    "lang": "string",
    "year": "int64",
    "price": "float64",
    "draft": "bool",
    "a b": "string",
}


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("year >= 2020", Compare("year", ">=", 2020)),
        ("year<>-3", Compare("year", "!=", -3)),
        ("price = +.5e1", Compare("price", "=", 5.0)),
        ("price != 2020", Compare("price", "!=", 2020.0)),
        ("year = 2020.0", Compare("year", "=", 2020)),
        ("year = 2.02e3", Compare("year", "=", 2020)),
        ("year = 9007199254740993.0", Compare("year", "=", 2**53 + 1)),
        ("year < 2020.5", Compare("year", "<=", 2020)),
        ("year <= -0.5", Compare("year", "<=", -1)),
        ("year > 2020.5", Compare("year", ">=", 2021)),
        ("year >= -1e-999999999", Compare("year", ">=", 0)),
        ("year = 2020.5", Compare("year", "<", -(2**63))),
        ("year >= 2020.5", Compare("year", ">=", 2021)),
        ("year <= 9223372036854775807", Compare("year", "<=", 2**63 - 1)),
        ("year IN (-9223372036854775808)", In("year", (-(2**63),))),
        ("price = -0", Compare("price", "=", 0.0)),
        (
            "year NOT BETWEEN 1.5 AND 2.5",
            Not(And((Compare("year", ">=", 2), Compare("year", "<=", 2)))),
        ),
        ("year != 2020.5", Compare("year", ">=", -(2**63))),
        ("year IN (1, 2.5, 3.0)", In("year", (1, 3))),
        ("year NOT IN (2.5)", Not(Compare("year", "<", -(2**63)))),
        (r"lang LIKE '\%a\b\\c\'", Like("lang", r"\%ab\\c\\")),
        ("draft", Compare("draft", "=", True)),
        ("not draft", Not(Compare("draft", "=", True))),
        ("draft = false", Compare("draft", "=", False)),
        ("lang = 'it''s'", Compare("lang", "=", "it's")),
        ("\"a b\" LIKE '%'", Like("a b", "%")),
        ("lang IS NULL", IsNull("lang")),
        ("lang IS NOT NULL", Not(IsNull("lang"))),
        ("lang NOT IN ('a','b')", Not(In("lang", ("a", "b")))),
        (
            "year BETWEEN 1 AND 2 AND draft",
            And(
                (
                    And((Compare("year", ">=", 1), Compare("year", "<=", 2))),
                    Compare("draft", "=", True),
                )
            ),
        ),
        (
            "draft OR year = 1 AND NOT year = 2",
            Or(
                (
                    Compare("draft", "=", True),
                    And((Compare("year", "=", 1), Not(Compare("year", "=", 2)))),
                )
            ),
        ),
    ],
)
def test_texts_become_trees(text, tree):
    """Fault V2: every literal has the type of its column, however it is written."""
    result = parse(text, COLUMNS)

    assert tree == result
    assert repr(tree) == repr(result), "2020 and 2020.0 are equal in Python"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a column; got the end (at character 1 of '')"),
        ("yaer = 1", "no column 'yaer'; did you mean 'year'? those that filters know: lang, year"),
        ("year = 'x'", "expected a number, for column 'year' is int64; got 'x' (at character 8"),
        ("year = 9223372036854775808", "is int64 (at character 8"),
        ("price = 1e999", "out of range"),
        ("year < 1e30", "1e30 is out of range; expected a number from -2^63 to 2^63 - 1, for"),
        ("year < 1e99999999999999999999", "out of range"),
        ("draft BETWEEN TRUE AND FALSE", "is bool, which has no order"),
        ("year = TRUE", "expected a number"),
        ("lang = 'a\0'", "without NUL"),
        ("lang = '\ud800'", "lone surrogate"),
        ("lang = 3", "expected a text as in 'en'"),
        ("lang = 'open", 'cannot read "\'" (at character 8'),
        ("draft < TRUE", "is bool, which has no order"),
        ("draft = 1", "expected TRUE or FALSE"),
        ("year LIKE '2%'", "is int64; expected a text before LIKE"),
        ("year", "expected an operator after 'year'; got the end"),
        ("year NOT = 3", "expected IN, LIKE or BETWEEN"),
        ("year IN ()", "expected a number"),
        ("year = 1 year = 2", "expected AND, OR or the end; got year (at character 10"),
        ("(year = 1", "expected ); got the end"),
        ("year = 1 AND", "expected a column; got the end"),
        ("3 < year", "expected a column; got 3"),
        ("year = 1; DROP TABLE x", "cannot read ';'"),
        ("(" * 100 + "draft" + ")" * 100, "nested deeper than 64"),
        ("NOT " * 100 + "draft", "nested deeper than 64"),
        ("year < -9223372036854775809", "out of range"),
        ("year < 9223372036854775807.5", "out of range"),
    ],
)
def test_errors_say_what_and_where(text, message):
    with pytest.raises(StorageError) as caught:
        parse(text, COLUMNS)

    assert str(caught.value).startswith("filter: ")
    assert message in str(caught.value)


def test_names_are_changed_everywhere():
    """Of columns, however deep, and of nothing else."""
    where = parse("NOT (lang = 'lang' OR year IN (1)) AND draft AND lang LIKE 'lang'", COLUMNS)
    names = {"lang": "l", "year": "y", "draft": "d"}
    right = parse(
        "NOT (l = 'lang' OR y IN (1)) AND d AND l LIKE 'lang'",
        {"l": "string", "y": "int64", "d": "bool"},
    )

    assert right == renamed(where, names)


@pytest.mark.parametrize("wrap", ["({})", "NOT {}"])
def test_nesting_has_a_bound(wrap):
    """Of 64, which belongs to what is read."""

    def nested(depth):
        text = "draft"
        for _ in range(depth):
            text = wrap.format(text)
        return text

    parse(nested(63), COLUMNS)
    parse(" AND ".join([nested(63)] * 3), COLUMNS)
    with pytest.raises(StorageError, match="nested deeper than 64"):
        parse(nested(64), COLUMNS)


def test_long_chains_are_read():
    text = " OR ".join(["year = 1"] * 5000)

    assert 5000 == len(parse(text, COLUMNS).parts)


WORDS = ["year", "lang", "'a'", "(", ")", "AND", "NOT", "=", "<", "3", "IN", ",", "IS", "NULL"]


@given(text=st.text() | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_is_a_filter_or_an_error(text):
    with contextlib.suppress(StorageError):
        parse(text, COLUMNS)


@given(where=strategies.filters())
def test_what_is_written_is_read_again(where):
    assert where == parse(sql(where), COLUMNS)


@settings(max_examples=200)
@given(
    where=strategies.filters(),
    rows=st.lists(strategies.memories(st.just("x")), min_size=1, max_size=6),
)
def test_masks_follow_the_logic_of_sql(where, rows):
    types = {"lang": pa.string(), "year": pa.int64(), "price": pa.float64(), "draft": pa.bool_()}
    table = pa.table({n: pa.array([row[n] for row in rows], t) for n, t in types.items()})

    assert [bool(truth(where, row)) for row in rows] == mask(where, table).tolist()


def test_filters_that_not_every_database_can_are_known():
    assert compares_texts(parse("draft OR NOT (lang LIKE 'a' AND draft)", COLUMNS))
    assert compares_texts(parse("lang > 'a'", COLUMNS))
    assert not compares_texts(parse("lang = 'a' OR year > 3 AND lang IN ('b')", COLUMNS))
