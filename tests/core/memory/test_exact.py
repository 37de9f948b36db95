"""What is kept equals what was given, or it is refused."""

import datetime as dt
import math
import re
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_core.contracts.records import conform, store_schema
from aios_core.errors import RowError, StorageError
from aios_core.testing.strategies import values

COLUMNS = {"lang": "string", "year": "int64", "price": "float64", "draft": "bool"}
SCHEMA = store_schema(2, COLUMNS)


def kept(column, value):
    row = {"id": "a", "vector": [1, 2], column: value}
    return conform([row], SCHEMA, "l2")[column][0].as_py()


@given(column=st.sampled_from([*COLUMNS]), value=values())
def test_a_value_is_kept_or_refused(column, value):
    """Fault V1: of any type, into a column of any type; a truth value is no number."""
    error, result = None, None
    try:
        result = kept(column, value)
    except RowError as raised:
        error = raised

    if error is not None:
        assert (0, "a") == (error.row, error.id)
        assert f"column {column!r}: expected" in str(error)
        return
    assert value == result
    if value is not None:
        truth = isinstance(value, bool | np.bool_)
        assert truth == (column == "bool" or isinstance(result, bool))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("year", 3.99),
        ("year", True),
        ("year", 2**63),
        ("year", "3"),
        ("year", Decimal("0.5")),
        ("year", math.nan),
        ("price", 2**53 + 1),
        ("price", np.int64(2**53 + 1)),
        ("price", True),
        ("price", Decimal("0.1")),
        ("price", Fraction(1, 3)),
        ("price", math.nan),
        ("price", math.inf),
        ("lang", b"en"),
        ("lang", 3),
        ("lang", "a\0b"),
        ("lang", "\ud800"),
        ("lang", dt.date(2020, 1, 1)),
        ("draft", 1),
        ("draft", 0.0),
    ],
)
def test_what_cannot_be_kept_is_refused(column, value):
    """Fault V1: none of these has an equal in its column."""
    with pytest.raises(RowError, match=rf"row 0 \(id 'a'\): column '{column}': expected"):
        kept(column, value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("year", 3.0),
        ("year", -(2**63)),
        ("year", -(2.0**63)),
        ("year", Decimal(-70_000)),
        ("year", np.uint64(2**53 + 1)),
        ("year", Decimal(7)),
        ("price", 3),
        ("price", 2**60),
        ("price", np.float32(0.1)),
        ("price", Decimal("0.5")),
        ("draft", np.bool_(False)),
        ("lang", np.str_("x")),
        ("lang", None),
    ],
)
def test_what_has_an_equal_is_kept(column, value):
    """Fault V1: a whole number may come as a fraction, and a fraction as a whole number."""
    assert value == kept(column, value)


arrow = st.one_of(
    st.tuples(st.just(kind), st.lists(st.none() | part, min_size=1, max_size=5))
    for kind, part in [
        (pa.int8(), st.integers(-128, 127)),
        (pa.int64(), st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**53 + 1, 2**63 - 1])),
        (
            pa.uint64(),
            st.integers(0, 2**64 - 1) | st.sampled_from([2**63, 2**64 - 1, 2**64 - 2048]),
        ),
        (pa.float16(), st.floats(width=16).map(np.float16)),
        (pa.float32(), st.floats(width=32)),
        (pa.float64(), st.floats() | st.sampled_from([2.0**63, -(2.0**63), 2.0**53])),
        (pa.decimal128(20, 2), st.decimals(-(10**10), 10**10, places=2)),
        (pa.string(), st.text(max_size=3)),
        (pa.large_string(), st.text(max_size=3)),
        (pa.string_view(), st.text(max_size=3)),
        (pa.binary(), st.binary(max_size=3)),
        (pa.bool_(), st.booleans()),
        (pa.date32(), st.dates()),
        (pa.timestamp("ns"), st.integers(1, 10**18).map(lambda n: np.datetime64(n, "ns"))),
        (pa.null(), st.none()),
    ]
)


@given(column=st.sampled_from([*COLUMNS]), made=arrow, coded=st.booleans())
def test_arrow_is_kept_or_refused_like_values(column, made, coded):
    """Fault V1: the same holds for Arrow, in one piece or several, as a dictionary or not."""
    kind, given_values = made
    whole = pa.array(given_values, kind)
    if coded and kind in (pa.string(), pa.int64(), pa.float64()):
        whole = whole.dictionary_encode()
    chunks = pa.chunked_array([whole[:1], whole[1:]])
    ids = [str(n) for n in range(len(whole))]
    vectors = pa.array([[1.0, 2.0]] * len(whole))
    table, error = pa.table({"id": ids, "vector": vectors, column: chunks}), None
    try:
        result = conform(table, SCHEMA, "l2").column(column)
    except StorageError as raised:
        error = raised

    if error is not None:
        assert f"column {column!r}: expected" in str(error)
        assert error.row is None or ids[error.row] == error.id
    elif pa.types.is_timestamp(kind):
        assert [None] * len(whole) == result.to_pylist()
    else:
        assert whole.to_pylist() == result.to_pylist()


@pytest.mark.parametrize(
    ("column", "kind", "value", "fits"),
    [
        ("price", pa.int64(), 2**53, True),
        ("price", pa.int64(), 2**53 + 1, False),
        ("price", pa.int64(), 2**53 + 2, True),
        ("price", pa.int64(), -(2**53), True),
        ("price", pa.int64(), -(2**53) - 1, False),
        ("price", pa.int64(), 2**63 - 1024, True),
        ("price", pa.int64(), 2**63 - 1, False),
        ("price", pa.int64(), -(2**63), True),
        ("price", pa.uint64(), 2**53 + 1, False),
        ("price", pa.uint64(), 2**63, True),
        ("price", pa.uint64(), 2**64 - 2048, True),
        ("price", pa.uint64(), 2**64 - 1, False),
        ("price", pa.int32(), -(2**31), True),
        ("year", pa.uint64(), 2**53 + 1, True),
        ("year", pa.uint64(), 2**63 - 1, True),
        ("year", pa.uint64(), 2**63, False),
        ("year", pa.float64(), 2.0**63, False),
        ("year", pa.float64(), -(2.0**63), True),
        ("year", pa.float64(), -(2.0**63) - 2048, False),
        ("year", pa.float64(), math.inf, False),
        ("year", pa.float32(), -3.5, False),
        ("year", pa.float16(), np.float16(-3), True),
    ],
)
@pytest.mark.parametrize("coded", [False, True])
def test_numbers_of_arrow_are_kept_to_the_last_digit(column, kind, value, fits, coded):
    """Fault V1: beyond 2^53 not every whole number is a float, nor is half of uint64 an int64."""
    given_values = pa.array([1, None, value], kind)
    whole = given_values.dictionary_encode() if coded else given_values
    table = pa.table({"id": ["a", "b", "c"], "vector": [[1.0, 2.0]] * 3, column: whole})
    if fits:
        assert [1, None, value] == conform(table, SCHEMA, "l2")[column].to_pylist()
        return
    with pytest.raises(RowError, match=rf"row 2 \(id 'c'\): column '{column}': expected") as error:
        conform(table, SCHEMA, "l2")
    assert (2, "c") == (error.value.row, error.value.id)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1.0, 3.99]), r"row 1 \(id 'b'\): column 'year': expected a whole number.* 3.99"),
        (pa.array([1, 2**63], pa.uint64()), "row 1 .*column 'year'"),
        (pa.array([1.0, 2.0**63]), "row 1 .*column 'year'"),
        (pa.array([1, 2], pa.timestamp("ns")), "column 'year'.*values of type timestamp"),
        (pa.array([True, False]), "column 'year'.*values of type bool"),
    ],
)
def test_rows_of_arrow_are_named(column, message):
    """Fault V1: by number and id, as those of dicts are."""
    table = pa.table({"id": ["a", "b"], "vector": [[1.0, 2.0]] * 2, "year": column})

    with pytest.raises(StorageError, match=message):
        conform(table, SCHEMA, "l2")


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ([1, True], "expected 2 numbers in the vector, got True"),
        (["1", 2], "got '1'"),
        (b"ab", "expected 2 numbers"),
        ("ab", "expected 2 numbers"),
        ([1, None], "expected 2 numbers"),
        ([1, 2j], "expected 2 numbers"),
        ([1, 2, 3], r"got a vector of shape \(3,\)"),
        (np.array([True, False]), "expected 2 numbers"),
        ([1, 1e39], r"holds 1e\+39"),
        (np.array([1, 1e39]), r"holds 1e\+39"),
        ([1, math.nan], "holds nan"),
        (None, "expected 'vector'"),
    ],
)
def test_vectors_hold_finite_numbers(vector, message):
    """Fault V12: also one that float32 cannot hold is an error, and no warning of numpy."""
    rows = [{"id": "a", "vector": [1.0, 2.0]}, {"id": "b", "vector": vector}]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RowError, match=r"row 1 \(id 'b'\).*" + message) as caught:
            conform(rows, SCHEMA, "l2")
    assert (1, "b") == (caught.value.row, caught.value.id)


@pytest.mark.parametrize("kind", [pa.int32(), pa.float16(), pa.float64()], ids=str)
@pytest.mark.parametrize("make", [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 2)])
def test_vectors_of_arrow_are_rounded(kind, make):
    """To the nearest float32: lists of any number type, in pieces."""
    given_values = np.array([[1, 2], [3, 4], [5, 6]], kind.to_pandas_dtype())
    column = pa.chunked_array(
        [pa.array([*map(list, part)], make(kind)) for part in (given_values[:1], given_values)]
    )[1:]
    table = pa.table({"id": ["a", "b", "c"], "vector": column})

    assert [[1, 2], [3, 4], [5, 6]] == conform(table, SCHEMA, "l2")["vector"].to_pylist()


@given(rows=st.lists(st.lists(st.floats(-1e9, 1e9) | st.integers(-9, 9), min_size=2, max_size=2)))
def test_vectors_are_the_nearest_float32(rows):
    """Lists of floats and of whole numbers alike."""
    table = conform([{"id": str(n), "vector": v} for n, v in enumerate(rows)], SCHEMA, "l2")

    assert [[*map(np.float32, v)] for v in rows] == table["vector"].to_pylist()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("length", [1e-25, 0.99e-15, 1.01e-15, 1e-14, 1e14, 0.99e15, 1.01e15, 1e25])
def test_lengths_have_bounds(metric, length):
    """Fault V6: a vector is taken only where all scores with it are finite and right."""
    fits = 1e-15 <= length <= 1e15 or (metric != "cosine" and length < 1)
    rows = [{"id": "a", "vector": [length, 0]}]
    if fits:
        assert 1 == len(conform(rows, SCHEMA, metric))
    else:
        with pytest.raises(RowError, match=re.escape(f"vector has length {length:.3g}, ")):
            conform(rows, SCHEMA, metric)
