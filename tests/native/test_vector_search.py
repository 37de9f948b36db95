"""Searches over numpy arrays through their bindings, against numpy."""

import numpy as np
import pytest

from aios_plugins._native.vector_search import (
    Hnsw,
    Int8Codes,
    VectorSearchError,
    level,
    top_k,
)


def numbers(rows, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


def distances(metric, vectors, queries):
    vectors, queries = vectors.astype(np.float64), queries.astype(np.float64)
    if metric == "l2":
        return ((queries[:, None] - vectors) ** 2).sum(-1)
    if metric == "inner_product":
        return -queries @ vectors.T
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, vectors)]
    return 1 - unit[0] @ unit[1].T


def half(values):
    return values.astype(np.float16)


def small(values):
    return (values * 30).clip(-127, 127).astype(np.int8)


@pytest.mark.parametrize("metric", ["cosine", "inner_product", "l2"])
@pytest.mark.parametrize("convert", [np.float32, half, small])
@pytest.mark.parametrize("queries", [1, 9])
def test_exact_search_is_numpy_s(metric, convert, queries):
    vectors, asked = convert(numbers(300, 40)), numbers(queries, 40, seed=1)

    result, rows = top_k(vectors, asked, 7, metric=metric)

    expected = np.sort(distances(metric, vectors, asked), axis=1)[:, :7]
    np.testing.assert_allclose(expected, result, rtol=1e-4, atol=1e-4)
    picked = np.take_along_axis(distances(metric, vectors, asked), rows, axis=1)
    np.testing.assert_allclose(expected, picked, rtol=1e-4, atol=1e-4)


def test_bfloat16_and_signs_are_read_from_their_bits():
    vectors, query = numbers(100, 64), numbers(1, 64, seed=1)
    upper = (vectors.view(np.uint32) >> 16).astype(np.uint16)
    signs = np.packbits(vectors > 0, axis=1, bitorder="little")

    as_floats = (upper.astype(np.uint32) << 16).view(np.float32)
    plus_minus = np.where(vectors > 0, 1, -1).astype(np.float32)

    for packed, floats in [(upper, as_floats), (signs, plus_minus)]:
        result, rows = top_k(packed, query, 5)
        expected, same = top_k(floats, query, 5)
        np.testing.assert_allclose(expected, result, atol=1e-5)
        assert same.tolist() == rows.tolist()


def test_queries_may_lie_in_any_order():
    vectors, queries = numbers(50, 8), numbers(4, 8, seed=1)

    expected = top_k(vectors, queries, 3)[1].tolist()

    assert expected == top_k(vectors, np.asfortranarray(queries), 3)[1].tolist()
    assert expected[::2] == top_k(vectors, queries[::2], 3)[1].tolist()


def test_a_filter_leaves_out_and_too_few_rows_fill_up():
    vectors = numbers(50, 8)
    keep = np.arange(50) % 20 == 0

    result, rows = top_k(vectors, vectors[:2], 5, filter=keep)

    assert (2, 3) == result.shape
    assert {0, 20, 40} == set(rows[0].tolist())


def test_codes_and_a_graph_find_what_an_exact_search_finds(tmp_path):
    vectors, queries = numbers(2000, 32), numbers(20, 32, seed=1)
    exact = top_k(vectors, queries, 10)[1]
    graph = Hnsw(32)
    graph.insert(vectors, np.arange(2000, dtype=np.uint32))
    graph.save(tmp_path / "graph")

    for search in [
        Int8Codes(vectors).search,
        graph.search,
        Hnsw.load(tmp_path / "graph").search,
    ]:
        rows = search(vectors, queries, 10)[1]
        hits = [len(set(a) & set(b)) for a, b in zip(exact.tolist(), rows.tolist(), strict=True)]
        assert sum(hits) >= 190

    assert 100 == graph.remove(np.arange(100, dtype=np.uint32))
    assert 1900 == len(graph)
    assert graph.search(vectors, vectors[:5], 3)[1].min() >= 100


@pytest.mark.parametrize(
    ("part", "call"),
    [
        (
            r"expected shape \(4,\) or \(any, 4\), got \[3\]",
            lambda v: top_k(v, np.zeros(3, "f4"), 1),
        ),
        ("NaN at position 2", lambda v: top_k(v, np.array([0, 0, np.nan, 0], "f4"), 1)),
        (
            'metric: expected one of "cosine".*, got "taxi"',
            lambda v: top_k(v, v[0], 1, metric="taxi"),
        ),
        ("expected float32.*, got float64", lambda v: top_k(v.astype(float), v[0], 1)),
        ("contiguous", lambda v: top_k(np.zeros((4, 9), "f4").T, v[0], 1)),
        ("2 values; there are 9 rows", lambda v: top_k(v, v[0], 1, filter=np.ones(2, bool))),
        ("row 9 does not exist", lambda v: Hnsw(4).insert(v, np.array([9], np.uint32))),
        ("degree: expected 2 to 256, got 1", lambda _: Hnsw(4, degree=1)),
        ("graph: ", lambda _: Hnsw.load("/nothing/graph")),
    ],
)
def test_errors_say_what_would_be_right(part, call):
    with pytest.raises(VectorSearchError, match=part):
        call(numbers(9, 4))


def test_the_instruction_set_has_a_name():
    assert level() in {"portable", "avx2", "avx512"}
