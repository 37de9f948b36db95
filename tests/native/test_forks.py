"""What a process has from its parent is used or refused after a fork; nothing waits for ever."""

import numpy as np
import pyarrow as pa
import pytest

from aios_core.testing.forking import in_child
from aios_plugins._native import arrow_quant, arrow_storage, vector_search

ROWS = np.random.default_rng(1).normal(size=(12_000, 16)).astype(np.float32)


def same(work):
    """Its result is the same before a fork, in the child, in the child's child, and after it."""
    right = work()
    assert right == in_child(work)
    assert right == in_child(lambda: in_child(work))
    assert right == work()


def nearest(result):
    return result[0].tolist()


def test_exact_search():
    """Fault V3: one query and many, by the threads of each process."""
    same(lambda: nearest(vector_search.top_k(ROWS, ROWS[5], 4)))
    same(lambda: nearest(vector_search.top_k(ROWS, ROWS[5:9], 4)))


def test_codes():
    """Fault V3: encoding, and searching what the parent has encoded."""
    codes = vector_search.Int8Codes(ROWS)
    same(lambda: nearest(codes.search(ROWS, ROWS[5:9], 4)))
    same(lambda: nearest(vector_search.Int8Codes(ROWS).search(ROWS, ROWS[5:9], 4)))


def test_graphs():
    """Fault V3: a graph of the parent is searched, changed and made in the child."""
    graph = vector_search.Hnsw(16)
    graph.insert(ROWS, np.arange(3000, dtype=np.uint32))
    same(lambda: nearest(graph.search(ROWS, ROWS[5:9], 4)))

    def change():
        graph.insert(ROWS, np.arange(3000, 4000, dtype=np.uint32))
        return graph.remove(np.arange(1000, dtype=np.uint32)), len(graph)

    assert [1000, 3000] == in_child(change)
    assert 3000 == len(graph)


def test_quantizing():
    """Fault V3: pools of the quantizer are made anew."""
    weight = ROWS[:1024].reshape(64, 256)
    x, hessian = ROWS[:256].reshape(16, 256), np.eye(256)
    make = arrow_quant.QuantizedMatrix.quantize
    quantized = make(weight, group_size=32, threads=2)
    same(lambda: quantized.dequantize(threads=2).sum().item())
    same(lambda: quantized.linear(x, threads=2).tolist())

    def calibrated():
        return make(weight, quality="calibrated", hessian=hessian, threads=2).codes.tolist()

    same(calibrated)


def test_a_store_is_refused_and_its_snapshot_read(tmp_path):
    """Fault V3: the handle says which process opened it, and a snapshot finds what it found."""
    flat = pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), 16)
    schema = pa.schema(
        [pa.field("id", pa.int64(), nullable=False), pa.field("vector", flat.type, nullable=False)]
    )
    store = arrow_storage.Store.create(str(tmp_path / "store"), schema)
    store.add(pa.record_batch([pa.array(range(len(ROWS))), flat], schema=schema))
    store.flush()
    snapshot = store.snapshot()
    same(lambda: [b["id"].to_pylist() for b in snapshot.search(ROWS[5:9], 4)])
    same(lambda: [b["id"].to_pylist() for b in snapshot.search(ROWS[5:9], 4, width=64)])

    def refused():
        said = []
        for call in (store.snapshot, store.sync, lambda: store.delete([1])):
            with pytest.raises(arrow_storage.ArrowStorageError) as error:
                call()
            said.append([error.value.kind, "open it again" in str(error.value)])
        store.close()
        return said

    assert [["forked", True]] * 3 == in_child(refused)
    assert 1 == store.delete([1])
    store.close()
    with pytest.raises(arrow_storage.ArrowStorageError, match="closed"):
        store.sync()
    assert len(ROWS) - 1 == arrow_storage.Store.verify(str(tmp_path / "store"))["rows"]
