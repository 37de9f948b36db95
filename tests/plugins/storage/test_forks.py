"""Which of our backends can be read in a forked process, and what the others say."""

import pytest

from aios_core.contracts import store_schema
from aios_core.errors import StorageError
from aios_core.testing.forking import in_child
from aios_plugins.storage.arrow import Arrow
from aios_plugins.storage.faiss import Faiss
from aios_plugins.storage.lancedb import LanceDb
from aios_plugins.storage.numpy import Numpy
from aios_plugins.storage.qdrant import Qdrant
from aios_plugins.storage.usearch import Usearch

SCHEMA = store_schema(3)
ROW = {"id": "a", "vector": [1, 2, 3], "text": "one"}


@pytest.mark.parametrize("backend", [Arrow(), Numpy(), Faiss(), Usearch(), Qdrant()], ids=repr)
def test_a_forked_process_reads(backend, tmp_path):
    """Fault V3: what was there when it was forked, at least."""
    with backend.create(str(tmp_path / "store"), SCHEMA) as store:
        store.add([ROW])
        assert 1 == in_child(store.count)

        def search():
            return store.search([1, 2, 3])["id"].to_pylist()

        assert ["a"] == in_child(search)


def test_lancedb_is_refused_where_its_threads_are_not(tmp_path):
    """Fault V3: an open store and a new one, with what to do instead."""
    with LanceDb().create(str(tmp_path / "store"), SCHEMA) as store:
        store.add([ROW])

        def refused():
            said = []
            for call in (store.count, lambda: LanceDb().open(str(tmp_path / "store"))):
                with pytest.raises(StorageError, match="'spawn'") as error:
                    call()
                said.append(str(error.value))
            return len(said)

        assert 2 == in_child(refused)
        assert 1 == store.count()


@pytest.mark.parametrize("backend", [Arrow(), Numpy(), Faiss(), Usearch(), Qdrant()], ids=repr)
@pytest.mark.parametrize("reads", [True, False])
def test_a_forked_process_leaves_the_folder_alone(backend, reads, tmp_path):
    """Fault V3: whatever the parent has not saved, by reading, flushing and closing."""
    place = tmp_path / "store"
    store = backend.create(str(place), SCHEMA)
    store.add([ROW])
    store.flush()
    store.add([ROW | {"id": "b"}])

    def files():
        return {str(path): path.read_bytes().hex() for path in place.rglob("*") if path.is_file()}

    def child():
        if reads:
            store.count()
            store.flush()
        store.close()
        return files()

    before = files()
    assert before == in_child(child)
    assert before == files()
    store.add([ROW | {"id": "c"}])
    store.close()
    with backend.open(str(place)) as store:
        assert 3 == store.verify()
