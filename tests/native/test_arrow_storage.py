"""Stores through their bindings: rows go in and come out as pyarrow knows them."""

import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aios_plugins._native.arrow_storage import ArrowStorageError, Store

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("vector", pa.list_(pa.float32(), 4), nullable=False),
        pa.field("text", pa.string()),
        pa.field("year", pa.int64()),
    ]
)


def rows(first, count):
    vectors = np.random.default_rng(first).normal(size=(count, 4)).astype(np.float32)
    ids = range(first, first + count)
    return pa.record_batch(
        [
            pa.array([f"n{i}" for i in ids]),
            pa.FixedSizeListArray.from_arrays(vectors.ravel(), 4),
            pa.array([f"text {i}" for i in ids]),
            pa.array([None if i % 5 == 4 else 2000 + i % 20 for i in ids]),
        ],
        schema=SCHEMA,
    )


def vectors(batch):
    return batch["vector"].flatten().to_numpy().reshape(-1, 4)


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path / "s", SCHEMA, metric="l2")
    yield store
    store.close()


def test_rows_come_back_as_they_were(store, tmp_path):
    batch = rows(0, 50)

    assert 50 == store.add(batch)
    assert batch.take([3, 0]) == store.get(["n3", "missing", "n0"])
    assert 2 == store.delete(["n0", "n1", "n0", "nothing"])
    assert 3 == store.upsert(pa.Table.from_batches([rows(0, 1), rows(50, 2)]))

    store.close()
    again = Store.open(tmp_path / "s", read_only=True)
    result = again.snapshot().batches().read_all()
    expected = [*range(2, 50), 0, 50, 51]
    assert sorted(f"n{i}" for i in expected) == sorted(result["id"].to_pylist())
    assert (SCHEMA, "l2", "id", "vector") == (again.schema, again.metric, again.id, again.vector)
    assert 51 == Store.verify(tmp_path / "s")["rows"]


def test_a_search_is_exact_and_shows_what_is_asked_for(store):
    for first in range(0, 300, 100):
        store.add(rows(first, 100))
        store.flush()
    everything = store.snapshot().batches().read_all().combine_chunks().to_batches()[0]
    queries = vectors(rows(7, 3))

    result = store.snapshot().search(queries, 5, columns=["year", "id"])

    exact = ((queries[:, None] - vectors(everything)) ** 2).sum(-1)
    for nearest, distances in zip(result, exact, strict=True):
        order = distances.argsort()[:5]
        assert ["year", "id", "_distance"] == nearest.schema.names
        assert everything["id"].take(order) == nearest["id"]
        np.testing.assert_allclose(distances[order], nearest["_distance"], rtol=1e-4)
    (alone,) = store.snapshot().search(queries[0], 5, columns=["id"])
    assert alone["id"] == result[0]["id"]


def test_a_view_stays_and_a_reader_refreshes(store, tmp_path):
    store.add(rows(0, 10))
    before = store.snapshot()
    reader = Store.open(tmp_path / "s", read_only=True)
    store.add(rows(10, 10))
    store.compact()

    assert (10, 20) == (before.count(), store.snapshot().count())
    assert 10 == reader.snapshot().count()
    reader.refresh()
    assert 20 == reader.snapshot().count()
    assert store.get(["n3", "n15"]) == reader.get(["n3", "n15"])
    assert {"rows": 20, "dead": 0, "segments": 1, "indexed": 0} == {
        key: value for key, value in reader.stats().items() if key != "bytes"
    }


def test_filters_choose_rows_everywhere(store):
    store.add(rows(0, 60))
    store.flush()
    store.add(rows(60, 40))
    view, where = store.snapshot(), "year >= 2010 AND text LIKE '%3'"
    years = [None if i % 5 == 4 else 2000 + i % 20 for i in range(100)]
    chosen = [f"n{i}" for i, year in enumerate(years) if year and year >= 2010 and i % 10 == 3]

    result = view.search(np.ones(4, np.float32), 50, filter=where)[0]
    streamed = view.batches(filter=where, columns=["id"]).read_all()

    assert len(chosen) == view.count(where)
    assert sorted(chosen) == sorted(result["id"].to_pylist())
    assert (["id"], chosen) == (streamed.schema.names, streamed["id"].to_pylist())
    assert len(chosen) == store.delete_where(where)
    assert (100 - len(chosen), 0) == (store.snapshot().count(), store.snapshot().count(where))


def test_texts_are_searched_alone_and_with_vectors(store):
    store.add(rows(0, 30))
    view = store.snapshot()

    alone = view.search_text("7 text", 3, columns=["id"])
    both = view.search_hybrid(vectors(rows(0, 30))[12], "7", 3, columns=["id"])

    assert "n7" == alone["id"][0].as_py()
    assert alone["_score"].to_pylist() == sorted(alone["_score"].to_pylist(), reverse=True)
    assert {"n7", "n12"} <= set(both["id"].to_pylist())
    assert 0 == view.search_text("nothing", 3).num_rows
    assert 0 == view.search_text("7", 3, filter="id = 'n8'").num_rows


def test_parquet_and_snapshots_hold_the_same_rows(store, tmp_path):
    store.add(rows(0, 30))

    assert 30 == store.snapshot().export_parquet(tmp_path / "all.parquet")
    assert 8 == store.snapshot().export_parquet(tmp_path / "some.parquet", filter="year < 2005")
    store.save_snapshot(tmp_path / "copy")
    store.delete_where("TRUE")
    assert 0 == store.snapshot().count()
    store.restore_snapshot(tmp_path / "copy")

    everything = store.snapshot().batches().read_all()
    assert everything == pq.read_table(tmp_path / "all.parquet").cast(SCHEMA)
    assert 8 == pq.read_table(tmp_path / "some.parquet").num_rows
    assert rows(0, 30) == everything.combine_chunks().to_batches()[0]


def test_numbers_that_change_later_do_not_change_a_store(store):
    numbers = np.ones((1, 4), np.float32)
    vector = pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), 4)
    batch = rows(0, 1).set_column(1, SCHEMA.field(1), vector)

    store.add(batch)
    numbers[:] = np.nan

    assert [1, 1, 1, 1] == store.get(["n0"])["vector"][0].as_py()


def test_a_graph_makes_search_approximate_and_is_kept(store):
    store.add(rows(0, 5000))
    store.create_index()
    assert 0 == store.stats()["indexed"]  # what is in the log only has none

    store.flush()
    store.create_index()
    queries = vectors(rows(9, 20))
    exact = store.snapshot().search(queries, 10, columns=["id"])
    near = store.snapshot().search(queries, 10, columns=["id"], width=100)

    assert 5000 == store.stats()["indexed"]
    hits = [len(set(a["id"].to_pylist()) & set(b["id"].to_pylist()))
            for a, b in zip(exact, near, strict=True)]  # fmt: skip
    assert sum(hits) >= 190
    store.compact()
    assert 5000 == store.stats()["indexed"]


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        ("duplicate_id", lambda store: store.add(rows(0, 1))),
        ("schema", lambda store: store.add(rows(9, 1).drop_columns(["year"]))),
        ("search", lambda store: store.snapshot().search(np.zeros(3, np.float32), 1)),
        ("no_column", lambda store: store.snapshot().search(
            np.zeros(4, np.float32), 1, columns=["nothing"])),
        ("filter", lambda store: store.snapshot().count("jahr = 3")),
        ("filter", lambda store: store.delete_where("year = ")),
        ("schema", lambda store: store.snapshot().search_text("x", 3, column="year")),
        ("not_a_store", lambda store: store.restore_snapshot(store.path + "/nothing")),
        ("io", lambda store: store.snapshot().export_parquet("/nothing/rows.parquet")),
        ("locked", lambda store: Store.open(store.path)),
        ("not_empty", lambda store: Store.create(store.path, SCHEMA)),
        ("not_a_store", lambda store: Store.open(store.path + "/nothing")),
        ("schema", lambda store: Store.create(store.path, SCHEMA, metric="taxi")),
        ("read_only", lambda store: Store.open(store.path, read_only=True).delete(["n0"])),
    ],
)  # fmt: skip
def test_errors_have_a_kind_and_change_nothing(store, kind, act):
    store.add(rows(0, 3))

    with pytest.raises(ArrowStorageError) as caught:
        act(store)

    assert kind == caught.value.kind
    assert str(caught.value)
    assert 3 == store.snapshot().count()


def test_a_closed_store_says_so(store):
    view = store.snapshot()
    store.close()

    with pytest.raises(ArrowStorageError, match="closed") as caught:
        store.add(rows(0, 1))

    assert "closed" == caught.value.kind
    assert 0 == view.count()


def test_threads_write_and_read_at_once(store):
    def write(first):
        for step in range(20):
            store.add(rows(first + 10 * step, 10))

    threads = [threading.Thread(target=write, args=(1000 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        view = store.snapshot()
        assert 0 == view.count() % 10
        assert len(view.search(np.ones(4, np.float32), 10)[0]) == min(10, view.count())
    for thread in threads:
        thread.join()

    assert 800 == store.snapshot().count()
