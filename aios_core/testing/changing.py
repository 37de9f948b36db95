"""The part of the storage contract on rows that change in place, and rows in an order."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pytest

from aios_core.errors import StorageError
from aios_core.testing.searching import BY_ID, GOOD, ROWS
from aios_core.testing.stores import plain

if TYPE_CHECKING:
    from aios_core.contracts import StorageBackend, VectorStore


class ChangingContract:
    """Tests over the fixtures of `StorageContract`."""

    def test_columns_are_updated_and_the_others_stay(self, store: VectorStore) -> None:
        """As dicts, each with what changes in it, and as Arrow; nothing of other rows."""
        given: list[dict[str, Any]] = [
            {"id": "m1", "year": 2024, "text": "a new text"},
            {"id": "m0", "price": None},
            {"id": "m2", "vector": [4, 3, 2, 1], "draft": True},
        ]
        right = {row["id"]: dict(row) for row in ROWS}
        for row in given:
            right[row["id"]] |= row

        assert 3 == store.update(given)
        assert plain([*right.values()], "cosine") == plain(_all(store), "cosine")
        kept = store.schema.field("lang").type
        table = pa.table({"id": ["m3", "m4"], "lang": pa.array(["fr", None], kept)})
        assert 2 == store.update(table)
        right["m3"]["lang"], right["m4"]["lang"] = "fr", None
        assert plain([*right.values()], "cosine") == plain(_all(store), "cosine")
        assert [0, len(ROWS)] == [store.update([]), store.verify()]
        if "text" in store.backend.capabilities:
            assert ["m1"] == store.search_text("new", 5)["id"].to_pylist()

    def test_updates_survive_closing(self, instance: StorageBackend, store: VectorStore) -> None:
        """By a filter as well, of which all rows get the same values."""
        chosen = {row["id"] for row in ROWS if (row["year"] or 0) > 5}
        assert len(chosen) == store.update_where({"lang": "xx", "price": 0.5}, "year > 5")
        assert 0 == store.update_where({"lang": "yy"}, "year = 12345")
        store.close()
        with instance.open(store.uri) as again:
            assert chosen == set(again.select(filter="lang = 'xx'")["id"].to_pylist())
            assert len(chosen) == again.count("lang = 'xx' AND price = 0.5")
            assert len(ROWS) == again.verify()

    def test_threads_change_one_row(self, store: VectorStore) -> None:
        """Each its own column, and none takes back what another has changed."""
        numbers = range(1, 9)

        def change(name: str) -> None:
            for number in numbers:
                store.update([{"id": "m1", name: number}])

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(change, ("year", "price")))
        assert [(8, 8.0)] == [(row["year"], row["price"]) for row in store.get(["m1"]).to_pylist()]

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda s: s.update([{"id": "m1", "vector": [1, 2]}]), "id 'm1'.*expected 4 numbers"),
            (lambda s: s.update([{"id": "m1", "vector": None}]), "expected 'vector'"),
            (
                lambda s: s.update([{"id": "m1", "year": 1}, {"id": "no", "year": 1}]),
                "row 1 .id 'no'.*is not in",
            ),
            (lambda s: s.update([{"id": "m1", "year": "x"}]), "'m1'.*column 'year'"),
            (lambda s: s.update([{"id": "m1", "yaer": 1}]), "did you mean 'year'"),
            (lambda s: s.update([{"id": "m1"}]), "columns that change, got 'id'"),
            (lambda s: s.update([{"year": 1}]), "expected 'id'"),
            (lambda s: s.update([{"id": None, "year": 1}]), "row 0.*expected 'id'"),
            (lambda s: s.update([{"id": 3, "year": 1}]), "column 'id': expected a text, got 3"),
            (lambda s: s.update([{"id": "m1", "year": 1}] * 2), "row 1.*'m1' in row 0"),
            (lambda s: s.update_where({"id": "x"}, "year > 5"), "which stays"),
            (lambda s: s.update_where({}, "year > 5"), "got none"),
            (lambda s: s.update_where({"yaer": 1}, "year > 5"), "did you mean 'year'"),
            (lambda s: s.update_where({"vector": [0, 0, 0, 0]}, "year > 5"), "is zero"),
            (lambda s: s.update_where({"year": 1}, "yaer > 5"), "did you mean 'year'"),
        ],
    )
    def test_updates_that_cannot_be_change_nothing(
        self, filled: VectorStore, call: Callable[[VectorStore], object], message: str
    ) -> None:
        """With the row, its id and the column, where there is one."""
        with pytest.raises(StorageError, match=message):
            call(filled)
        assert plain(ROWS, "cosine") == plain(_all(filled), "cosine")

    @pytest.mark.parametrize("order", ["id", "year", "price", "lang", "draft"])
    @pytest.mark.parametrize("descending", [False, True])
    def test_rows_come_in_an_order(self, filled: VectorStore, order: str, descending: bool) -> None:
        """Missing values last, equal ones by id, page by page as at once."""
        there = sorted(BY_ID)
        right = [key for key in there if BY_ID[key][order] is not None]
        right.sort(key=lambda key: cast("Any", BY_ID[key][order]), reverse=descending)
        right += [key for key in there if BY_ID[key][order] is None]
        options: dict[str, Any] = {"order": order, "descending": descending}

        assert right == filled.select(**options)["id"].to_pylist()
        pages = [filled.select(**options, limit=7, offset=at) for at in range(0, 28, 7)]
        assert right == [key for page in pages for key in page["id"].to_pylist()]
        few = filled.select(**options, filter="year > 5", columns=["year", "id"])
        assert ["year", "id"] == few.column_names
        late = [key for key in right if (BY_ID[key]["year"] or 0) > 5]
        assert late == few["id"].to_pylist()

    def test_orders_that_cannot_be_are_errors(self, filled: VectorStore) -> None:
        """A column that is not there or a vector, and numbers that count nothing."""
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"order": "yaer"}, "did you mean 'year'"),
            ({"order": "vector"}, "no column 'vector'"),
            ({"limit": 0}, "limit is 0; expected a whole number from 1 on"),
            ({"offset": -1}, "offset is -1"),
            ({"limit": True}, "limit is True"),
        ]
        for options, message in wrong:
            with pytest.raises(StorageError, match=message):
                filled.select(**options)
        assert 0 == filled.select(offset=99).num_rows

    def test_rows_of_less_than_a_score_are_left_out(self, filled: VectorStore) -> None:
        """Of vectors and of words, one query or many; the rest as it was."""
        query = [1, 2, 3, 4]
        whole = filled.search(query, 50, exact=True)
        for least in (-2, 0, 0.3, whole["_score"][3].as_py(), 2):
            right = [row for row in whole.to_pylist() if row["_score"] >= least]
            table = filled.search(query, 50, exact=True, min_score=least)
            batch = filled.search_batch([query], 50, exact=True, min_score=np.float64(least))
            assert right == table.to_pylist() == batch[0].to_pylist()
        for wrong in ("0.5", float("nan"), True, [1]):
            with pytest.raises(StorageError, match="min_score is"):
                filled.search(query, min_score=cast("Any", wrong))
        if "text" in filled.backend.capabilities:
            texts = filled.search_text("dog 16", 50)
            least = texts["_score"][1].as_py()
            right = [row for row in texts.to_pylist() if row["_score"] >= least]
            assert right == filled.search_text("dog 16", 50, min_score=least).to_pylist()

    def test_rows_like_another(self, filled: VectorStore) -> None:
        """By its id: as a search by its vector, without the row itself."""
        own = BY_ID["m4"]["vector"]
        right = [k for k in filled.search(own, 6, exact=True)["id"].to_pylist() if k != "m4"]
        table = filled.search_like("m4", 5, exact=True, columns=["year"])
        assert ["year", "_score"] == table.column_names
        assert right == filled.search_like("m4", 5, exact=True)["id"].to_pylist()
        for where in ("id != 'm4'", "year > 5"):
            by_vector = filled.search(own, 6, exact=True, filter=where)["id"].to_pylist()
            like = filled.search_like("m4", 5, exact=True, filter=where)["id"].to_pylist()
            assert [k for k in by_vector if k != "m4"][:5] == like
        with pytest.raises(StorageError, match="'nobody' is not in"):
            filled.search_like("nobody")
        assert len(ROWS) - 1 == filled.search_like("m4", 99, exact=True).num_rows

    def test_vectors_and_words_have_weights(self, filled: VectorStore) -> None:
        """Twice as much of a rank; 0 leaves one of them out."""
        if "text" not in filled.backend.capabilities:
            pytest.skip("it does not declare text")
        query, words, ranks = [1, 2, 3, 4], "dog 16", dict[str, float]()
        both = (filled.search(query, 50), filled.search_text(words, 50))
        for table, weight in zip(both, (0.5, 2), strict=True):
            for rank, name in enumerate(table["id"].to_pylist(), 1):
                ranks[name] = ranks.get(name, 0) + weight / (60 + rank)
        fused = filled.search_hybrid(query, words, 6, weights=(0.5, 2))
        assert sorted(ranks.values())[:-7:-1] == pytest.approx(fused["_score"].to_pylist())
        alone = filled.search_hybrid(query, words, 4, weights=(0, 1))["id"].to_pylist()
        assert both[1]["id"].to_pylist()[:4] == alone
        wrongs: list[Any] = [(0, 0), (1,), (-1, 2), (1, float("nan")), (1, 1e9), "ab", 1]
        for wrong in wrongs:
            with pytest.raises(StorageError, match="expected two weights"):
                filled.search_hybrid(query, words, weights=wrong)

    def test_open_stores_see_what_others_wrote(
        self, instance: StorageBackend, store: VectorStore
    ) -> None:
        """Fault V17: after `refresh`, also the second time, and the index and the words too."""
        store.flush()
        try:
            reader = instance.open(store.uri, read_only=True)
        except StorageError as error:
            pytest.skip(f"one process at a time: {error}")
        with reader:
            query = [1.0, 2.0, 3.0, 4.0]
            reader.search(query)
            if "text" in instance.capabilities:
                reader.search_text("zebra")
            for name in ("one", "two"):
                row = {**GOOD, "id": name, "text": f"zebra {name}", "vector": [-1, -2, -3, -4]}
                store.add([row])
                store.flush()
                reader.refresh()
                assert name in reader.get([name])["id"].to_pylist()
                assert name in reader.search([-1, -2, -3, -4], 2)["id"].to_pylist()
                if "text" in instance.capabilities:
                    assert [name] == reader.search_text(f"zebra {name}", 1)["id"].to_pylist()
            assert len(ROWS) + 2 == reader.count() == reader.verify()
            store.delete(["one"])
            store.flush()
            reader.refresh()
            assert 0 == reader.get(["one"]).num_rows
        store.refresh()
        assert len(ROWS) + 1 == store.count()
        store.close()
        with pytest.raises(StorageError, match="closed"):
            store.refresh()


def _all(store: VectorStore) -> list[dict[str, Any]]:
    return [row for batch in store.to_batches() for row in batch.to_pylist()]
