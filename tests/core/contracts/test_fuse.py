"""Ranks of two searches as one."""

import pytest

from aios_core.contracts.primitives import fuse


def test_ties_are_as_the_first_ranking_has_them():
    """Whatever the ids, and whoever is first."""
    assert ["b", "a"] == [one for one, _ in fuse(["b"], ["a"])]
    assert ["a", "b"] == [one for one, _ in fuse(["a"], ["b"])]
    assert [9, 1, 5] == [one for one, _ in fuse([9, 1], [1, 9], [5])]


def test_scores_are_sums_of_reciprocal_ranks():
    found = dict(fuse(["a", "b"], ["b", "c"]))
    assert pytest.approx({"a": 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 62}) == found
    assert "b" == fuse(["a", "b"], ["b", "c"])[0][0]
