"""The part of the storage contract that says what is kept: what was given, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios_core.contracts.records import vectors_of
from aios_core.errors import RowError, StorageError
from aios_core.testing.searching import ROWS
from aios_core.testing.stores import schema, similarity
from aios_core.testing.strategies import MEMORY_COLUMNS, values

if TYPE_CHECKING:
    from aios_core.contracts import StorageBackend, VectorStore


class KeepingContract:
    """Tests over the fixtures of `StorageContract`."""

    examples: ClassVar[int] = 3

    def test_values_are_kept_or_refused(
        self, instance: StorageBackend, filled: Any, new_uri: Callable[[], str]
    ) -> None:
        """Fault V1: what is read back equals what was given, or adding it changed nothing."""
        with instance.create(new_uri(), schema(), metric="l2") as store:
            rows: dict[str, dict[str, Any]] = {}

            @settings(
                deadline=None,
                max_examples=20 * self.examples,
                suppress_health_check=list(HealthCheck),
            )
            @given(column=st.sampled_from([*MEMORY_COLUMNS, "text"]), value=values())
            def check(column: str, value: Any) -> None:
                row_id = f"r{len(rows)}"
                whole = {"id": f"{row_id} whole", "vector": [1, 2, 3, 4]}
                given_rows = [whole, {"id": row_id, "vector": [1, 0, 0, 0], column: value}]
                if (error := _refused(store, given_rows)) is not None:
                    assert 1 == error.row, error
                    assert 0 == store.get([row_id, f"{row_id} whole"]).num_rows
                    return
                rows[row_id] = {"column": column, "value": value}
                kept = store.get([row_id])[column][0].as_py()
                assert value == kept
                assert isinstance(value, bool | np.bool_) == isinstance(kept, bool)

            check()
            assert 2 * len(rows) == store.verify()
            for key, row in rows.items():
                assert row["value"] == store.get([key])[row["column"]][0].as_py()

    @pytest.mark.parametrize("metric", ["l2", "dot"])
    def test_vectors_come_back_bit_for_bit(
        self, instance: StorageBackend, filled: Any, new_uri: Callable[[], str], metric: Any
    ) -> None:
        """Every float32 that is given, also the smallest, where nothing needs length 1."""
        rng = np.random.default_rng(5)
        vectors = rng.normal(size=(64, 4)).astype(np.float32)
        vectors *= 10.0 ** rng.integers(-12, 12, (64, 1)).astype(np.float32)
        vectors[0], vectors[1] = [1e-45, -1e-40, 1 / 3, 16_777_217], [0.0, 1.1754944e-38, 1, 2]
        ids = [f"v{n:02}" for n in range(64)]
        with instance.create(new_uri(), schema(), metric=metric) as store:
            store.add([{"id": i, "vector": v} for i, v in zip(ids, vectors, strict=True)])
            assert vectors.tobytes() == vectors_of(store.get(ids)).tobytes()
            store.close()
            with instance.open(store.uri, read_only=True) as again:
                assert vectors.tobytes() == vectors_of(again.get(ids)).tobytes()

    @pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
    def test_scores_are_right_whatever_the_lengths(
        self, instance: StorageBackend, filled: Any, new_uri: Callable[[], str], metric: Any
    ) -> None:
        """Fault V6: vectors that are taken are all found, with finite scores that are right."""
        base = {"a": [1, 0, 0, 0], "b": [1, 1, 0, 0], "c": [0, -1, 2, 0.5]}
        taken: dict[str, Any] = {}
        with instance.create(new_uri(), schema(), metric=metric) as store:
            for power in (-45, -30, -25, -20, -16, -14, -8, -1, 0, 1, 8, 14, 16, 20, 25, 30, 37):
                for name, vector in base.items():
                    row_id = f"{name}{power}"
                    scaled = np.array(vector) * 10.0**power
                    if (error := _refused(store, [{"id": row_id, "vector": scaled}])) is None:
                        taken[row_id] = scaled.astype(np.float32)
                    else:
                        assert "its vector" in str(error)
            assert len(taken) >= 15
            store.compact()
            ways = [True, None]
            ways += [False] if "approximate" in instance.capabilities else []
            for scale in (1e-30, 1e-25, 1e-14, 1.0, 1e14, 1e25):
                query = np.array([1, 0.5, 0, 0]) * scale
                if metric != "cosine" and scale > 1e15:
                    with pytest.raises(StorageError, match="its vector has length"):
                        store.search(query)
                    continue
                for exact in ways:
                    table = store.search(query, 99, exact=exact)
                    scores = dict(
                        zip(table["id"].to_pylist(), table["_score"].to_pylist(), strict=True)
                    )
                    right = {row_id: similarity(query, v, metric) for row_id, v in taken.items()}
                    assert right.keys() == scores.keys()
                    for row_id, score in right.items():
                        assert score == pytest.approx(scores[row_id], rel=1e-4, abs=1e-6), row_id

    def test_any_number_of_rows_may_be_asked_for(self, filled: VectorStore) -> None:
        """Fault V12: numbers of numpy too, and far more than there are; nothing for no queries."""
        query, two = [1, 2, 3, 4], cast("int", np.int64(2))
        cats = sum("cat" in (row["text"] or "") for row in ROWS)
        assert 2 == filled.search(query, two, exact=True).num_rows
        for many in (2**31, 2**62, 10**20):
            assert filled.count() == filled.search(query, many, exact=True).num_rows
            if "text" in filled.backend.capabilities:
                assert cats == filled.search_text("cat", many).num_rows
        assert [] == filled.search_batch([])
        assert [] == filled.search_batch(np.empty((0, 4), np.float32))

    def test_ids_may_be_of_numpy_and_arrow(
        self, instance: StorageBackend, filled: Any, new_uri: Callable[[], str]
    ) -> None:
        """Fault V13: any list of ids is one, but no text; V12: no number is too large to refuse."""
        with instance.create(new_uri(), schema("int64")) as store:
            store.add([{"id": n, "vector": [1, n, 0, 0]} for n in range(9)])
            right: list[Any] = [np.arange(3), pa.array([0, 1, 2]), [0.0, np.int8(1), 2], (0, 1, 2)]
            right.append(iter([0, 1, 2]))
            for ids in right:
                assert [0, 1, 2] == store.get(ids)["id"].to_pylist()
            wrongs: list[Any] = ["12", b"12", 3, {1: 2}, ["1"], [True], [2**63], [1.5]]
            wrongs.append([np.uint64(2**63)])
            for wrong in wrongs:
                with pytest.raises(StorageError, match="expected"):
                    store.delete(wrong)
                with pytest.raises(StorageError, match="expected"):
                    store.get(wrong)
            assert 9 == store.count()
            assert 3 == store.delete(np.arange(3))
            assert 2 == store.delete(n for n in (4, 5, 99))
            assert [3, 6, 7, 8] == sorted(store.get(range(99))["id"].to_pylist())
            assert [0, 0, 0] == [store.add([]), store.upsert([]), store.delete([])]
        with instance.create(new_uri(), schema()) as store:
            store.add([{"id": row_id, "vector": [1, 2, 3, 4]} for row_id in ("a", "b", "ab")])
            with pytest.raises(StorageError, match="expected a list of ids, got 'ab'"):
                store.delete("ab")
            assert 3 == store.count()


def _refused(store: VectorStore, rows: Any) -> RowError | None:
    """The error with which rows are refused; None where they are taken."""
    try:
        store.add(rows)
    except RowError as error:
        return error
    return None
