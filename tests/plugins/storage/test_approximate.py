"""Exact search beside an index that is made to be poor, so that using it is seen."""

import numpy as np
import pytest

from aios_core.contracts import store_schema
from aios_plugins.storage.faiss import Faiss
from aios_plugins.storage.lancedb import LanceDb
from aios_plugins.storage.usearch import Usearch

POOR = [
    (Faiss(m=4, ef_construction=1, ef_search=1), "faiss"),
    (Usearch(connectivity=2, expansion_add=1, expansion_search=1), "usearch"),
    (LanceDb(index_rows=256), "lancedb"),
]


@pytest.mark.parametrize(("backend", "module"), POOR, ids=[module for _, module in POOR])
def test_exact_search_goes_by_no_index(backend, module, misses, tmp_path):
    """Fault V6: all rows are looked at where that is asked for, whatever indexes there are."""
    pytest.importorskip(module)
    missed = misses(backend, str(tmp_path / "store"))

    assert missed > 0, "the index is too good for this test to see whether it was used"


@pytest.mark.parametrize(("backend", "module"), POOR, ids=[module for _, module in POOR])
def test_a_filter_leaves_as_many_rows_as_were_asked_for(backend, module, tmp_path):
    """Fault V6: k of them, or all that match, however poor the index is."""
    pytest.importorskip(module)
    rng = np.random.default_rng(8)
    rows = [
        {"id": str(n), "vector": vector, "part": int(rng.integers(100))}
        for n, vector in enumerate(rng.normal(size=(600, 16)).astype("f4"))
    ]
    with backend.create(str(tmp_path / "store"), store_schema(16, {"part": "int64"})) as store:
        store.add(rows)
        store.compact()
        for least in (0, 50, 80, 85, 97, 99):
            match = {row["id"] for row in rows if row["part"] >= least}
            for query in rng.normal(size=(8, 16)).astype("f4"):
                for k in (1, 10, 60):
                    result = store.search(query, k, filter=f"part >= {least}", exact=False)
                    assert min(k, len(match)) == result.num_rows, (least, k)
                    assert match >= {*result["id"].to_pylist()}
