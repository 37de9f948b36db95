"""Which schemas a store can have, and how rows are made to fit."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_core.contracts.records import (
    check_schema,
    conform,
    dimension,
    query_vectors,
    score,
    store_schema,
)
from aios_core.errors import RowError, StorageError
from aios_core.memory.bm25 import K1, B, Bm25

SCHEMA = store_schema(2, {"year": "int64", "price": "float64"})


def test_narrow_types_are_widened():
    rows = pa.table(
        {
            "price": pa.array([1, None], pa.int16()),
            "id": pa.array(["a", "b"], pa.large_string()),
            "vector": pa.array([[1, 2], [3, 4]], pa.list_(pa.float64())),
            "year": pa.array([1, 2], pa.uint8()),
        }
    )

    table = conform(rows, SCHEMA, "l2")

    assert SCHEMA == table.schema
    assert {"id": "a", "text": None, "year": 1, "price": 1.0, "vector": [1, 2]} == (
        table.to_pylist()[0]
    )


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"year": pa.array([1.5])}, "column 'year': expected a whole number.*, got 1.5"),
        ({"year": pa.array([2**63], pa.uint64())}, "column 'year': expected a whole number"),
        ({"text": pa.array([1])}, "column 'text': expected a text, got values of type int64"),
        ({"vector": pa.array([[1.0, 2.0, 3.0]])}, "expected 2 numbers in the vector, got 3"),
        ({"vector": pa.array([[1.0, None]])}, "expected 2 numbers, got a missing one"),
        ({"vector": pa.array([[1.0, 2.0], None])[1:]}, "row 0 .*expected 'vector'"),
        ({"vector": pa.array(["x"])}, "expected vectors of 2 numbers, got values of type string"),
    ],
)
def test_other_types_are_refused(column, message):
    given = {"id": pa.array(["a"]), "vector": pa.array([[1.0, 2.0]]), **column}

    with pytest.raises(StorageError, match=message):
        conform(pa.table(given), SCHEMA, "l2")


def test_slices_are_read_where_they_are():
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(8, dtype=np.float32)), 2)
    table = pa.table({"id": ["a", "b", "c", "d"], "vector": vectors}).slice(1, 2)

    assert [[2, 3], [4, 5]] == conform(table, SCHEMA, "l2")["vector"].to_pylist()


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (pa.schema([]), "there is no column 'id'; there is no column 'vector'"),
        (SCHEMA.append(pa.field("year", pa.int64())), "two columns are named 'year'"),
        (SCHEMA.append(pa.field("_x", pa.int64())), "without _ in front"),
        (
            SCHEMA.append(pa.field("x", pa.date32())),
            "column 'x' is date32.*; expected one of: string",
        ),
        (SCHEMA.set(0, pa.field("id", pa.float64())), "column 'id' is double"),
        (SCHEMA.set(1, pa.field("text", pa.int64())), "column 'text' is int64; expected string"),
        (SCHEMA.set(4, pa.field("vector", pa.list_(pa.float32()))), "fixed_size_list"),
    ],
)
def test_schemas_that_cannot_be_are_told(schema, message):
    with pytest.raises(StorageError, match=message):
        check_schema(schema)


@pytest.mark.parametrize("dim", [0, 65_537])
def test_dimensions_have_bounds(dim):
    with pytest.raises(StorageError, match="expected 1 to 65536"):
        store_schema(dim)


@pytest.mark.parametrize("dim", [1, 65_536])
def test_the_bounds_of_dimensions_can_be(dim):
    assert dim == dimension(store_schema(dim))


@pytest.mark.parametrize(
    ("metric", "bad", "message"),
    [
        ("l2", {"text": "a\0"}, "column 'text': expected a text without NUL"),
        ("l2", {"price": math.inf}, "column 'price'"),
        ("l2", {"id": ""}, "column 'id'"),
        ("l2", {"id": "r0"}, "expected each id once, got 'r0' in row 0 as well"),
        ("l2", {"vector": [0, math.inf]}, "holds inf"),
        ("l2", {"vector": [1e16, 0]}, "has length 1e[+]16, .* at most 1e[+]15"),
        ("cosine", {"vector": [0, 0]}, "zero"),
        ("cosine", {"vector": [1e-16, 0]}, "has length 1e-16, .* 1e-15 to 1e[+]15"),
    ],
)
def test_the_row_that_is_wrong_is_named(metric, bad, message):
    """Not the first, nor the last: whatever is wrong, as dicts and as Arrow."""
    rows = [{"id": f"r{n}", "text": None, "vector": [1.0, n], "price": None} for n in range(4)]
    rows[2] |= bad
    table = pa.Table.from_pylist(rows)
    for given_rows in (rows, table):
        with pytest.raises(RowError, match=message) as caught:
            conform(given_rows, SCHEMA, metric)
        assert (2, rows[2]["id"]) == (caught.value.row, caught.value.id)


def test_queries_have_length_1_only_where_they_were_far_from_it():
    """For cosine: else float32 could not hold the scores; what is near 1 keeps its bits."""
    far = query_vectors([[3e-20, 4e-20], [3e20, 4e20], [3.0, 4.0]], 2, "cosine")

    assert np.array([[0.6, 0.8], [0.6, 0.8], [3, 4]], np.float32) == pytest.approx(far, rel=1e-6)
    assert [[3e-20, 4e-20]] == pytest.approx(query_vectors([[3e-20, 4e-20]], 2, "dot"))
    with pytest.raises(StorageError, match=r"query 1: .*length"):
        query_vectors([[1.0, 2.0], [1e20, 0.0]], 2, "l2")


def test_bm25_has_the_constants_of_lucene():
    """A score that is written out: k1 = 1.2 and b = 0.75, three texts of 1, 2 and 3 words."""
    result = Bm25(["gate", "gate gate", "wall wall wall", None]).scores("GATE")
    idf, mean = math.log(1 + 2.5 / 2.5), 6 / 4
    right = [
        idf * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 1 / mean)),
        idf * 4.4 / (2 + 1.2 * (0.25 + 0.75 * 2 / mean)),
        0,
        0,
    ]

    assert right == pytest.approx(result.tolist())


TEXTS = st.lists(
    st.none() | st.lists(st.sampled_from(["gate", "Wall", "Tür", "7"]), max_size=9).map(" ".join),
    max_size=8,
)


@given(texts=TEXTS, query=st.sampled_from(["gate", "wall tür", "7 gate gate", "no"]))
def test_texts_are_scored_as_documented(texts, query):
    """By BM25, a word that is repeated in a text or in a query included."""
    split = [(text or "").casefold().split() for text in texts]
    mean = max(sum(map(len, split)) / len(split), 1) if split else 1
    right = [0.0] * len(split)
    for word in set(query.split()):
        n = sum(word in each for each in split)
        for row, each in enumerate(split):
            f, idf = each.count(word), math.log(1 + (len(split) - n + 0.5) / (n + 0.5))
            right[row] += idf * f * (K1 + 1) / (f + K1 * (1 - B + B * len(each) / mean))

    assert right == pytest.approx(Bm25(texts).scores(query).tolist())


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_scores_are_similarities(kind):
    distances = np.array([0, 0.5, 3], kind)

    for metric, squared, expected in [
        ("cosine", False, [1, 0.5, -2]),
        ("dot", True, [0, -0.5, -3]),
        ("l2", False, [1, 1 / 1.5, 0.25]),
        ("l2", True, [1, 1 / (1 + 0.5**0.5), 1 / (1 + 3**0.5)]),
    ]:
        scores = score(metric, distances, squared=squared)
        assert kind == scores.dtype
        assert scores == pytest.approx(expected, rel=1e-6)
        assert not np.signbit(scores[0])


def test_squares_that_rounding_left_below_zero_count_as_zero():
    assert [1] == score("l2", np.array([-1e-7], np.float32), squared=True).tolist()
