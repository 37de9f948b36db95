"""What tests of several backends do."""

import numpy as np
import pytest

from aios_core.contracts import store_schema
from aios_plugins.commands.memory.migrating import migrate
from aios_plugins.storage.arrow import Arrow


@pytest.fixture
def there_and_back(tmp_path):
    """A function that moves fifty rows from a folder to a place, and from there to another."""

    def move(far, ids, id_type="string"):
        rows = [{"id": id_, "vector": [1, int(id_), 2], "text": f"text {id_}"} for id_ in ids]
        with Arrow().create(str(tmp_path / "a"), store_schema(3, id_type=id_type)) as near:
            near.add(rows)
            with far.backend.create(far.uri, near.schema) as there:
                assert 50 == migrate(near, there).copied
        with (
            far.backend.open(far.uri) as there,
            Arrow().create(str(tmp_path / "b"), there.schema) as back,
        ):
            assert (50, 50) == (migrate(there, back).rows, back.count())

    return move


@pytest.fixture
def misses():
    """A function that counts what the approximate way misses, where the exact one misses nothing.

    Of the two best rows for each of forty queries, in a store of a backend at a place.
    """

    def count(backend, place):
        rng = np.random.default_rng(3)
        vectors = rng.normal(size=(1500, 48)).astype(np.float32)
        missed = 0
        with backend.create(place, store_schema(48), metric="l2") as store:
            store.add([{"id": str(n), "vector": v} for n, v in enumerate(vectors)])
            store.compact()
            for query in rng.normal(size=(40, 48)).astype(np.float32):
                order = np.argsort(np.linalg.norm(vectors - query, axis=1))
                right = [str(n) for n in order[:2]]
                assert right == store.search(query, 2, exact=True)["id"].to_pylist()
                missed += len({*right} - {*store.search(query, 2, exact=False)["id"].to_pylist()})
        return missed

    return count
