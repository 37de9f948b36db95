"""Approximate search by a real index: enough rows that one is made, and is used."""

import numpy as np
import pytest

from aios_core.contracts import store_schema
from aios_core.errors import StorageError
from aios_plugins.storage.arrow import Arrow
from aios_plugins.storage.faiss import _sound as graph_is_sound
from aios_plugins.storage.lancedb import LanceDb
from aios_plugins.storage.usearch import Usearch, _sound

DIM, ROWS = 16, 5000


def indexed(store):
    """How many rows the index covers."""
    if isinstance(store.backend, Arrow):
        return store.stats().details["indexed"]
    (index,) = [i for i in store._table.list_indices() if i.columns == ["vector"]]
    return store._table.index_stats(index.name).num_indexed_rows


def nearest(store, queries, **how):
    answers = [store.search(query, 10, columns=["id"], **how) for query in queries]
    return [set(answer["id"].to_pylist()) for answer in answers]


BACKENDS = [Arrow(index_rows=1000), pytest.param(LanceDb(index_rows=1000), marks=pytest.mark.slow)]


@pytest.mark.parametrize("backend", BACKENDS, ids=["arrow", "lancedb"])
def test_an_index_finds_what_is_near_whatever_is_deleted_and_filtered(backend, tmp_path):
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(50, DIM))
    vectors = (centres[rng.integers(50, size=ROWS)] + rng.normal(size=(ROWS, DIM))).astype("f4")
    rows = [{"id": str(n), "vector": v, "part": n % 50} for n, v in enumerate(vectors)]
    queries = centres[:20].astype("f4")
    place = str(tmp_path / "store")
    with backend.create(place, store_schema(DIM, {"part": "int64"})) as store:
        store.add(rows)
        store.delete(filter="part = 3")
        store.compact()
        covered = indexed(store)
        assert ROWS - ROWS // 50 == covered == store.count()
        store.delete(filter="part = 4")
        store.add([{"id": "late", "vector": queries[0], "part": 1}])
    with backend.open(place) as store:
        for where, least in ((None, 180), ("part < 30", 180), ("part = 7", 190)):
            right = nearest(store, queries, filter=where, exact=True)
            near = nearest(store, queries, filter=where, exact=False)
            assert {10} == {len(each) for each in near}
            assert least <= sum(len(a & b) for a, b in zip(right, near, strict=True)), where
        assert "late" in nearest(store, queries[:1], exact=False)[0]
        assert covered - ROWS // 50 + 1 == store.verify()


@pytest.mark.parametrize("dtype", ["f16", "i8"])
def test_few_bits_choose_rows_and_do_not_score_them(tmp_path, dtype):
    """Fault V6: the graph's own copy is rounded; nobody asks it for lengths."""
    rng = np.random.default_rng(4)
    vectors = (rng.normal(size=(300, 8)) * 10.0 ** rng.integers(-12, 12, (300, 1))).astype("f4")
    rows = [{"id": str(n), "vector": vector} for n, vector in enumerate(vectors)]
    with Usearch(dtype=dtype).create(str(tmp_path / "store"), store_schema(8)) as store:
        store.add(rows)
        right, near = (store.search(vectors[0], 5, exact=exact) for exact in (True, False))
        assert right["_score"].to_pylist() == pytest.approx(near["_score"].to_pylist(), rel=1e-5)
    for metric in ("dot", "l2"):
        with pytest.raises(StorageError, match=f"dtype '{dtype}' keeps no lengths .*'{metric}'"):
            Usearch(dtype=dtype).create(str(tmp_path / metric), store_schema(8), metric=metric)
        assert not (tmp_path / metric).exists()


def test_usearch_opens_its_graph_from_the_disk(tmp_path, monkeypatch):
    """Its graph is not made again: adding 20,000 rows takes most of a minute."""
    rng = np.random.default_rng(3)
    rows = [{"id": str(n), "vector": vector} for n, vector in enumerate(rng.normal(size=(2000, 8)))]
    with Usearch().create(str(tmp_path / "store"), store_schema(8)) as store:
        store.add(rows)
        right = store.search(rows[7]["vector"], 5)["id"].to_pylist()
    (path,) = (tmp_path / "store").glob("usearch.*")
    graph = path.read_bytes()
    monkeypatch.setattr("aios_plugins.storage.usearch._Graph.add", None)
    with Usearch().open(str(tmp_path / "store"), read_only=True) as store:
        assert right == store.search(rows[7]["vector"], 5)["id"].to_pylist()
    first = 8 + 2000 * 8 * 4 + 64 + 40 + 2 * 2000
    for at, what in [
        (first + 14, "a link"),
        (first + 10, "a count"),
        (first, "a key"),
        (0, "rows"),
    ]:
        spoilt = bytearray(graph)
        spoilt[at + 2] ^= 0x7F
        path.write_bytes(spoilt)
        assert not _sound(path, 2000, 16), what
    path.write_bytes(graph)
    assert _sound(path, 2000, 16)
    path.write_bytes(graph[:-1])
    assert not _sound(path, 2000, 16)


def test_faiss_follows_no_link_that_leads_outside():
    """A graph of a file is used only where each link, offset and level is one of its rows."""
    faiss = pytest.importorskip("faiss")
    graph = faiss.IndexHNSWFlat(4, 8, faiss.METRIC_L2)
    graph.add(np.random.default_rng(0).normal(size=(300, 4)).astype("f4"))
    hnsw = graph.hnsw
    entry, top = hnsw.entry_point, hnsw.max_level
    assert graph_is_sound(hnsw, 300, 8)
    assert graph_is_sound(faiss.IndexHNSWFlat(4, 8, faiss.METRIC_L2).hnsw, 0, 8)
    assert not graph_is_sound(hnsw, 299, 8)
    assert not graph_is_sound(hnsw, 300, 16)

    def spoilt(name, at, value):
        vector = getattr(hnsw, name)
        values = faiss.vector_to_array(vector)
        before = values[at].item()
        values[at] = value
        faiss.copy_array_to_vector(values, vector)
        sound = graph_is_sound(hnsw, 300, 8)
        values[at] = before
        faiss.copy_array_to_vector(values, vector)
        return not sound

    assert spoilt("neighbors", 5, 300)
    assert spoilt("neighbors", -1, -2)
    assert not spoilt("neighbors", 5, -1)
    assert spoilt("levels", 7, 0)
    assert spoilt("levels", 7, 100)
    assert spoilt("offsets", 0, 1)
    assert spoilt("offsets", 9, 0)
    assert spoilt("offsets", -1, 10**9)
    for name, values in {"entry_point": (-1, 300), "max_level": (top + 1, 100)}.items():
        for value in values:
            setattr(hnsw, name, value)
            assert not graph_is_sound(hnsw, 300, 8), (name, value)
            setattr(hnsw, name, {"entry_point": entry, "max_level": top}[name])
    assert graph_is_sound(hnsw, 300, 8)
