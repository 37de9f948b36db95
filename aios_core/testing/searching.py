"""The half of the storage contract that searches, and the rows that both halves know."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from aios_core.contracts.records import store_schema
from aios_core.filters import parse, sql
from aios_core.memory.bm25 import Bm25
from aios_core.testing import strategies
from aios_core.testing.stores import check_search, schema, truth

if TYPE_CHECKING:
    from aios_core.contracts import StorageBackend, VectorStore

ROWS: Final[list[dict[str, Any]]] = [
    {
        "id": f"m{n}",
        "text": f"the {['cat', 'dog', 'naïve bird'][n % 3]} number {n}" if n % 5 else None,
        "vector": [1.0, n - 6.0, n % 4, -1.0],
        "lang": ["en", "de", "it's", "a%b_c", "", "\\", None][n % 7],
        "year": None if n % 6 == 0 else n - 5,
        "price": None if n % 4 == 3 else n / 4 - 1,
        "draft": [True, False, None][n % 3],
    }
    for n in range(24)
]
BY_ID: Final = {row["id"]: row for row in ROWS}
GOOD: Final[dict[str, Any]] = {"id": "new", "vector": [1.0, 2.0, 3.0, 4.0]}


LANGUAGES: Final = (
    ("我昨天在北京看见一只黑色的猫", ("北京", "猫", "黑色")),
    ("東京の夜はとても静かでした", ("東京", "静か", "夜")),
    ("แมวนอนอยู่บนเก้าอี้", ("แมว", "เก้าอี้")),
    ("हिन्दी में एक छोटी कविता", ("हिन्दी", "कविता")),
    ("\u0130stanbul'da yağmur yağıyor", ("istanbul", "İSTANBUL", "YAĞMUR")),  # noqa: RUF001
    ("die breite Straße am Fluß", ("STRASSE", "strasse", "STRAẞE", "fluss")),
    ("서울에서 비가 내린다", ("서울", "비가")),
    ("un cafe\u0301 pre\u0300s de la gare", ("café", "CAFÉ", "gare")),
    ("Съешь ещё этих мягких булок", ("МЯГКИХ", "еще\u0308")),
    ("ο Σίσυφος και ο βράχος", ("ΣΊΣΥΦΟΣ", "σίσυφος")),  # noqa: RUF001
    ("קפה שחור בלי סוכר", ("שחור",)),
    ("شربت القهوة في الصباح", ("القهوة",)),
    ("សៀវភៅ\u200bថ្មី", ("សៀវភៅ",)),
    ("the quick brown fox", ("QUICK", "fox")),
)
"""Texts, each with queries that find it."""


class SearchContract:
    """Tests over the fixtures of `StorageContract`."""

    examples: ClassVar[int] = 3
    """Of each property; more find more, and take longer."""

    @pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
    def test_search_is_exact_where_asked(
        self, instance: StorageBackend, filled: Any, new_uri: Callable[[], str], metric: Any
    ) -> None:
        """The best rows by the definition of the score, one query or many, few rows or all."""
        with instance.create(new_uri(), schema(), metric=metric) as store:
            assert 0 == store.search([1, 2, 3, 4], exact=True).num_rows
            assert 0 == store.search([1, 2, 3, 4], 2**40, exact=True).num_rows
            store.add(ROWS)
            for query, k in itertools.product(([1, -2, 0.5, 3], [-1, 0, 0, 0]), (1, 5, 99)):
                check_search(store, BY_ID, query, k, None)
            both = store.search_batch([[1.0, -2.0, 0.5, 3.0], [-1.0, 0, 0, 0]], 5, exact=True)
            table = store.search([-1, 0, 0, 0], 5, exact=True)
            assert table["_score"].to_pylist() == pytest.approx(both[1]["_score"].to_pylist())

    def test_exactness_is_handed_on(
        self, filled: VectorStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By every kind of search, as it was asked for, with filter and columns."""
        asked: list[tuple[Any, ...]] = []
        real = type(filled).nearest_rows

        def recorded(store: Any, queries: Any, k: Any, where: Any, *rest: Any, **more: Any) -> Any:
            asked.append((where, (more | dict(zip(("exact", "columns"), rest, strict=False)))))
            return real(store, queries, k, where, *rest, **more)

        monkeypatch.setattr(type(filled), "nearest_rows", recorded)
        ways = [True, None, *([False] if "approximate" in filled.backend.capabilities else [])]
        query, where = [1, 2, 3, 4], "draft"
        parsed = parse(where, filled.filter_columns)
        for exact in ways:
            filled.search(query, 3, filter=where, exact=exact, columns=["year"])
            filled.search_batch([query], 3, filter=where, exact=exact, columns=["year"])
            right = {"exact": exact, "columns": ["year"]}
            assert [(parsed, right)] * 2 == asked[:2]
            if "text" in filled.backend.capabilities:
                filled.search_hybrid(query, "cat", 3, filter=where, exact=exact)
                assert (parsed, exact) == (asked[2][0], asked[2][1]["exact"])
            asked.clear()

    def test_columns_are_chosen(self, filled: VectorStore) -> None:
        """In the order asked for; all but the vector where nothing is said."""
        query = [1, 0, 0, 0]
        names = [name for name in filled.schema.names if name != "vector"]
        assert [*names, "_score"] == filled.search(query, 2).column_names
        table = filled.search(query, 2, columns=["year", "vector"])
        assert ["year", "vector", "_score"] == table.column_names
        assert pa.float32() == table.schema.field("_score").type
        assert ["lang", "id"] == filled.get(["m1"], columns=["lang", "id"]).column_names
        assert filled.schema == filled.get(["nobody"]).schema

    def test_filters_mean_the_same(self, filled: VectorStore) -> None:
        """Any filter chooses the rows that SQL's three-valued logic says, in count and search."""

        @settings(
            deadline=None,
            max_examples=5 * self.examples,
            suppress_health_check=[HealthCheck.differing_executors],
        )
        @given(where=strategies.filters(texts="text filters" in filled.backend.capabilities))
        def check(where: Any) -> None:
            right = {row_id for row_id, row in BY_ID.items() if truth(where, row)}
            batches = filled.to_batches(columns=["id"], filter=sql(where))
            assert right == {row_id for batch in batches for row_id in batch["id"].to_pylist()}
            assert len(right) == filled.count(sql(where))
            check_search(filled, BY_ID, [1, 1, 1, 1], 9, where)

        check()

    def test_texts_are_found_by_their_words(self, store: VectorStore) -> None:
        """Those with the word, rarer words first, deleted ones no more; and both ways fused."""
        if "text" not in store.backend.capabilities:
            pytest.skip("it does not declare text")
        right = {row_id for row_id, row in BY_ID.items() if "cat" in (row["text"] or "")}
        table = store.search_text("CAT", 50)
        assert right == set(table["id"].to_pylist())
        assert sorted(table["_score"].to_pylist(), reverse=True) == table["_score"].to_pylist()
        assert "m16" == store.search_text("dog 16", 3)["id"][0].as_py()
        late = store.search_text("cat", 50, filter="year > 5")["id"].to_pylist()
        assert {row_id for row_id in right if (BY_ID[row_id]["year"] or 0) > 5} == set(late)
        assert 0 == store.search_text("zebra").num_rows
        once, twice = (store.search_text(words, 50) for words in ("cat number", "cat number cat"))
        assert once["_score"].to_pylist() == pytest.approx(twice["_score"].to_pylist())
        store.delete(["m3"])
        store.add([{**GOOD, "text": "cat cat"}])
        assert {*right, "new"} - {"m3"} == set(store.search_text("cat", 50)["id"].to_pylist())
        query, ranks = [1, 2, 3, 4], dict[str, float]()
        for table in (store.search(query, 50), store.search_text("dog 16", 50)):
            for rank, name in enumerate(table["id"].to_pylist(), 1):
                ranks[name] = ranks.get(name, 0) + 1 / (60 + rank)
        fused = store.search_hybrid(query, "dog 16", 4, columns=["id"])
        assert sorted(ranks.values())[:-5:-1] == pytest.approx(fused["_score"].to_pylist())
        assert [ranks[row_id] for row_id in fused["id"].to_pylist()] == pytest.approx(
            fused["_score"].to_pylist()
        )
        fused = store.search_hybrid(query, "cat", 50, filter="year > 5")
        assert {row_id for row_id, row in BY_ID.items() if (row["year"] or 0) > 5} == {
            *fused["id"].to_pylist()
        }

    def test_scores_of_texts_are_those_of_the_rows_there_are(
        self, instance: StorageBackend, filled: Any, new_uri: Callable[[], str]
    ) -> None:
        """Deleted and replaced rows do not count, nor does a word of the query twice."""
        if "text" not in instance.capabilities:
            pytest.skip("it does not declare text")
        texts = ["red red fox", "a red house and a long garden", "blue sea", "green", None]
        rows = [{**GOOD, "id": f"t{n}", "text": text} for n, text in enumerate(texts)]
        gone = [{**GOOD, "id": f"g{n}", "text": "red " * n + "blue"} for n in range(6)]

        def scores(store: VectorStore, query: str) -> dict[str, float]:
            table = store.search_text(query, 50)
            return dict(zip(table["id"].to_pylist(), table["_score"].to_pylist(), strict=True))

        with (
            instance.create(new_uri(), schema()) as store,
            instance.create(new_uri(), schema()) as right,
        ):
            right.add(rows)
            store.add([*gone, *rows[:2], {**rows[2], "text": "red and blue"}])
            assert 8 == len(scores(store, "red"))
            store.upsert(rows[2:])
            assert len(gone) == store.delete([row["id"] for row in gone])
            for query in ("red", "blue sea", "red red house red"):
                assert scores(right, query) == pytest.approx(scores(store, query), rel=1e-5)
            assert scores(store, "red") == pytest.approx(scores(store, "red RED red"), rel=1e-5)

    def test_texts_of_all_languages_are_found(
        self, instance: StorageBackend, filled: Any, new_uri: Callable[[], str]
    ) -> None:
        """Fault V16: whatever the script, the case and the composition, with the same scores."""
        if "text" not in instance.capabilities:
            pytest.skip("it does not declare text")
        texts = [text for text, _ in LANGUAGES]
        reference = Bm25(texts)
        with instance.create(new_uri(), schema()) as store:
            store.add([{**GOOD, "id": str(n), "text": text} for n, text in enumerate(texts)])
            for n, (text, queries) in enumerate(LANGUAGES):
                for query in (*queries, text):
                    table = store.search_text(query, 99)
                    assert str(n) == table["id"][0].as_py(), (text, query)
                    scores = reference.scores(query)
                    right = {str(row): score for row, score in enumerate(scores) if score > 0}
                    assert right == pytest.approx(
                        dict(
                            zip(table["id"].to_pylist(), table["_score"].to_pylist(), strict=True)
                        ),
                        rel=1e-5,
                    )

    def test_approximate_search_finds_what_is_near(
        self, instance: StorageBackend, filled: Any, new_uri: Callable[[], str]
    ) -> None:
        """Nine of ten rows and exact scores, also after deletions and under a narrow filter."""
        if "approximate" not in instance.capabilities:
            pytest.skip("it does not declare approximate")
        rng = np.random.default_rng(7)
        vectors = rng.normal(size=(200, 16)).astype(np.float32)
        rows = [{"id": str(n), "vector": v, "part": n % 20} for n, v in enumerate(vectors)]
        with instance.create(new_uri(), store_schema(16, {"part": "int64"})) as store:
            store.add(rows)
            store.delete(filter="part = 3")
            store.compact()
            for where, k in ((None, 10), ("part = 7", 10), ("part < 25", 10)):
                hits = 0
                for query in rng.normal(size=(10, 16)):
                    right = store.search(query, k, filter=where, exact=True)["id"].to_pylist()
                    ids = store.search(query, k, filter=where, exact=False)["id"].to_pylist()
                    assert len(right) == len(ids) == 10
                    hits += len({*right} & {*ids})
                assert hits >= 90, f"{hits} of 100 under the filter {where}"
