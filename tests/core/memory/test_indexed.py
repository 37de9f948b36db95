"""Rows in memory: what is written when, and what becomes of the deleted ones."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aios_core.contracts import store_schema
from aios_core.errors import StorageError
from aios_core.memory.folder import Folder
from aios_plugins.storage.numpy import Numpy

SCHEMA = store_schema(2, {"n": "int64"})


@pytest.fixture
def uri(tmp_path):
    uri = str(tmp_path / "store")
    with Numpy().create(uri, SCHEMA, metric="dot") as store:
        store.add([{"id": str(n), "text": "word", "vector": [1, n], "n": n} for n in range(8)])
    return uri


def details(store):
    return store.stats().details


def test_nothing_is_written_where_nothing_changed(uri):
    with Numpy().open(uri) as store:
        generation = details(store)["generation"]
        store.search([1, 2])
        assert 0 == store.delete(["nobody"])
    with Numpy().open(uri) as store:
        assert generation == details(store)["generation"]
        store.delete(["3"])
        store.flush()
        store.flush()
        assert generation + 1 == details(store)["generation"]


def test_a_deletion_alone_is_kept(uri):
    """Nothing else is written since, and the answers of before are not given again."""
    with Numpy().open(uri) as store:
        assert "7" == store.search([0, 1], 1)["id"][0].as_py()
        assert 8 == store.search_text("word", 9).num_rows
        assert 2 == store.delete(["7", "7", "6", "9"])
        assert "5" == store.search([0, 1], 1)["id"][0].as_py()
        assert 6 == store.search_text("word", 9).num_rows
    with Numpy().open(uri) as store:
        assert 6 == store.count() == store.verify()


def test_batches_are_no_longer_than_was_asked(uri):
    with Numpy().open(uri) as store:
        store.delete(["2"])
        sizes = [batch.num_rows for batch in store.to_batches(batch_size=3)]
        few = [batch["n"].to_pylist() for batch in store.to_batches(filter="n > 4", batch_size=2)]

    assert [3, 3, 1] == sizes
    assert [[5, 6], [7]] == few


def test_dead_rows_go_once_they_are_more_than_a_quarter(uri):
    with Numpy().open(uri) as store:
        store.delete(["0", "1"])
        store.flush()
        assert 2 == details(store)["dead"]
        store.upsert([{"id": "2", "vector": [1, 9]}])
        assert 3 == details(store)["dead"]
        store.flush()
        assert 0 == details(store)["dead"]
        assert 6 == store.count()
        assert [[1, 9]] == store.get(["2"])["vector"].to_pylist()


@pytest.mark.parametrize("where", [None, "n >= 0"])
def test_equal_scores_are_in_the_order_of_writing(tmp_path, where):
    """Of vectors and of texts; a row that is written again is the last."""
    rows = [
        {"id": str(n), "text": "word " * (1 + n % 3), "vector": [1, n % 3], "n": n}
        for n in range(300)
    ]
    with Numpy().create(str(tmp_path / "store"), SCHEMA, metric="dot") as store:
        store.add(rows)
        store.upsert(rows[2:3])
        result = store.search([1, 1], 300, filter=where)["id"].to_pylist()
        texts = store.search_text("word", 300, filter=where)["id"].to_pylist()

    right = [str(n) for rest in (2, 1, 0) for n in range(300) if n % 3 == rest and n != 2]
    right.insert(99, "2")
    assert right == result
    assert right == texts


def test_scores_are_as_documented(tmp_path):
    """The cosine, the inner product, and 1 / (1 + the distance)."""
    for metric, right in (("cosine", 0.6), ("dot", 6.0), ("l2", 1 / (1 + 17**0.5))):
        with Numpy().create(str(tmp_path / metric), SCHEMA, metric=metric) as store:
            store.add([{"id": "a", "vector": [3, 4]}])
            result = store.search([2, 0])["_score"].to_pylist()

        assert [pytest.approx(right)] == result


def test_a_deleted_row_is_gone_after_reopening(uri):
    """Though its place is still there until the store is compacted; its id is free again."""
    with Numpy().open(uri) as store:
        store.delete(["3"])
    with Numpy().open(uri) as store:
        assert 0 == store.get(["3"]).num_rows
        assert 1 == store.add([{"id": "3", "text": "new", "vector": [1, 0], "n": 30}])
        assert [30] == store.get(["3"])["n"].to_pylist()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("id", ["a", "b", "a"], "expected each id once, got 'a'"),
        ("vector", [[1, 2], [np.inf, 0], [0, 1]], "row 1: its vector holds inf"),
        ("_alive", None, "is damaged"),
    ],
)
def test_rows_that_nobody_could_add_are_not_opened(tmp_path, column, value, message):
    """Whoever wrote them, with checksums that are right; what is dead may be as it likes."""
    place = str(tmp_path / "store")
    with Numpy().create(place, SCHEMA, metric="dot") as store:
        store.add([{"id": letter, "vector": [1, 2]} for letter in "abc"])
    path = next((tmp_path / "store").glob("rows.*"))
    table = pq.read_table(path)
    at = table.column_names.index(column)
    forged = table.remove_column(at)
    if value is not None:
        forged = table.set_column(
            at, table.schema.field(at), pa.array(value, table.schema.types[at])
        )
    folder = Folder(tmp_path / "store", write=True)

    def put(rows):
        folder.save({"rows": lambda path: pq.write_table(rows, path)})

    put(forged)
    with pytest.raises(StorageError, match=message):
        Numpy().open(place, read_only=True)
    if value is not None:
        dead = pa.array([True, column == "id", column != "id"])
        alive = forged.column_names.index("_alive")
        put(forged.set_column(alive, "_alive", dead))
        with Numpy().open(place, read_only=True) as store:
            assert ["a", "b" if column == "id" else "c"] == store.get(list("abc"))["id"].to_pylist()
    folder.close()
