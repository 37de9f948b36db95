"""Ranks of two searches as one."""

import numpy as np
import pytest

from aios_core.contracts import store_schema
from aios_core.contracts.primitives import fuse
from aios_plugins.storage.arrow import Arrow
from aios_plugins.storage.numpy import Numpy


def test_ties_are_as_the_first_ranking_has_them():
    """Whatever the ids, and whoever is first."""
    assert ["b", "a"] == [each for each, _ in fuse(["b"], ["a"])]
    assert ["a", "b"] == [each for each, _ in fuse(["a"], ["b"])]
    assert [9, 1, 5] == [each for each, _ in fuse([9, 1], [1, 9], [5])]


def test_scores_are_sums_of_reciprocal_ranks():
    result = dict(fuse(["a", "b"], ["b", "c"]))
    assert pytest.approx({"a": 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 62}) == result
    assert "b" == fuse(["a", "b"], ["b", "c"])[0][0]


@pytest.mark.parametrize("backend", [Arrow(), Numpy()], ids=repr)
@pytest.mark.parametrize("k", [1, 5, 12, 13, 60, 200])
def test_a_hybrid_search_fuses_the_best_of_each_as_it_says(backend, k, tmp_path):
    """The best max(4k, 50) by vector and by text, whose orders are different, and k of them."""
    rng = np.random.default_rng(4)
    rows = [
        {"id": str(n), "vector": vector, "text": "gate " * (n % 17 + 1) + "wall " * (n % 29)}
        for n, vector in enumerate(rng.normal(size=(300, 3)).astype("f4"))
    ]
    with backend.create(str(tmp_path / "store"), store_schema(3)) as store:
        store.add(rows)
        deep = max(4 * k, 50)
        near = store.search([1, 2, 3], 300, columns=["id"])["id"].to_pylist()[:deep]
        alike = store.search_text("gate", 300, columns=["id"])["id"].to_pylist()[:deep]
        result = store.search_hybrid([1, 2, 3], "gate", k, columns=["id"])
    right = dict.fromkeys([*near, *alike], 0.0)
    for ranking in (near, alike):
        for rank, each in enumerate(ranking, 1):
            right[each] += 1 / (60 + rank)

    assert min(k, len(right)) == result.num_rows
    assert sorted(right.values(), reverse=True)[:k] == pytest.approx(
        result["_score"].to_pylist(), rel=1e-5
    )
    assert [right[value] for value in result["id"].to_pylist()] == pytest.approx(
        result["_score"].to_pylist(), rel=1e-5
    )


@pytest.mark.parametrize("backend", [Arrow(), Numpy()], ids=repr)
def test_a_hybrid_search_filters_both_rankings(backend, tmp_path):
    """A row that a filter leaves out is not found by its text either, nor takes a rank."""
    rows = [{"id": str(n), "vector": [1, n], "text": "gate", "n": n} for n in range(8)]
    with backend.create(str(tmp_path / "store"), store_schema(2, {"n": "int64"})) as store:
        store.add(rows)
        result = store.search_hybrid([1, 0], "gate", 8, filter="n >= 6")

    assert ["6", "7"] == sorted(result["id"].to_pylist())
    assert 2 / 61 + 2 / 62 == pytest.approx(sum(result["_score"].to_pylist()))
