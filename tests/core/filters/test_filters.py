"""The filter language: its trees, its errors, and what they choose."""

import contextlib

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_core.errors import StorageError
from aios_core.filters import And, Compare, In, IsNull, Like, Not, Or, compares_texts, parse, sql
from aios_core.filters.arrow import mask
from aios_core.testing import strategies
from aios_core.testing.stores import truth

COLUMNS = {"lang": "text", "year": "number", "price": "number", "draft": "boolean", "a b": "text"}


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("year >= 2020", Compare("year", ">=", 2020)),
        ("year<>-3", Compare("year", "!=", -3)),
        ("price = +.5e1", Compare("price", "=", 5.0)),
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
    assert tree == parse(text, COLUMNS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "want a column; got the end (at character 1 of '')"),
        ("yaer = 1", "no column 'yaer'; did you mean 'year'? those that filters know: lang, year"),
        ("year = 'x'", "want a number, for column 'year' is number; got 'x' (at character 8"),
        ("year = 9223372036854775808", "out of range (at character 8"),
        ("price = 1e999", "out of range"),
        ("lang = 3", "want a text as in 'en'"),
        ("lang = 'open", 'cannot read "\'" (at character 8'),
        ("draft < TRUE", "boolean, which has no order"),
        ("draft = 1", "want TRUE or FALSE"),
        ("year LIKE '2%'", "is no text, so LIKE does not apply"),
        ("year", "want an operator after 'year'; got the end"),
        ("year NOT = 3", "want IN, LIKE or BETWEEN"),
        ("year IN ()", "want a number"),
        ("year = 1 year = 2", "want AND, OR or the end; got year (at character 10"),
        ("(year = 1", "want ); got the end"),
        ("year = 1 AND", "want a column; got the end"),
        ("3 < year", "want a column; got 3"),
        ("year = 1; DROP TABLE x", "cannot read ';'"),
        ("(" * 100 + "draft" + ")" * 100, "nested deeper than 64"),
        ("NOT " * 100 + "draft", "nested deeper than 64"),
    ],
)
def test_errors_say_what_and_where(text, message):
    with pytest.raises(StorageError) as caught:
        parse(text, COLUMNS)

    assert str(caught.value).startswith("filter: ")
    assert message in str(caught.value)


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
