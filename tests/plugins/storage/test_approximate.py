"""Exact search beside an index that is made to be poor, so that using it is seen."""

import pytest

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
