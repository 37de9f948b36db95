"""Qdrant on a server, where one is given: AIOS_TEST_QDRANT=http://localhost:6333."""

import itertools
import os
from typing import ClassVar
from uuid import uuid4

import pytest

from aios_core.contracts import store_schema
from aios_core.errors import StorageError
from aios_core.testing.contracts.storage import StorageContract
from aios_plugins.storage import qdrant
from aios_plugins.storage.qdrant import Qdrant

SERVER = os.environ.get("AIOS_TEST_QDRANT")


@pytest.mark.skipif(SERVER is None, reason="AIOS_TEST_QDRANT names no server")
class TestQdrantServer(StorageContract):
    component = Qdrant
    varied: ClassVar = {}  # of a folder they cost less

    @pytest.fixture(scope="class")
    @classmethod
    def new_uri(cls):
        run, numbers = uuid4().hex[:8], itertools.count()
        return lambda: f"{SERVER}/aios-{run}-{next(numbers)}"


def test_names_of_an_earlier_version_are_read(tmp_path, monkeypatch):
    """Fault V9: what was written under a name that is a path to Qdrant can be got out."""
    pytest.importorskip("qdrant_client")
    monkeypatch.setattr(qdrant, "kept_names", lambda schema: {name: name for name in schema.names})
    schema = store_schema(2, {"published at": "string", "n": "int64"})
    row = {"id": "a", "text": None, "vector": [1, 2], "published at": "2024", "n": 3}
    with Qdrant().create(str(tmp_path / "s"), schema, metric="l2") as store:
        store.add([row])
        assert [row] == store.get(["a"]).select([*row]).to_pylist()
        assert "2024" == store.search([1, 2], 1, columns=["published at"])[0][0].as_py()
        assert 1 == store.count("\"published at\" = '2024'") == store.verify()


def test_a_large_folder_is_no_warning_of_a_library(tmp_path, monkeypatch):
    """Neither when it is written nor when it is opened; a warning is an error here."""
    pytest.importorskip("qdrant_client")
    from qdrant_client.common import client_warnings
    from qdrant_client.local.local_collection import LocalCollection
    from qdrant_client.local.qdrant_local import QdrantLocal

    monkeypatch.setattr(client_warnings, "SEEN_MESSAGES", set())
    for large in (LocalCollection, QdrantLocal):
        monkeypatch.setattr(large, "LARGE_DATA_THRESHOLD", 2)
    with Qdrant().create(str(tmp_path / "s"), store_schema(2)) as store:
        store.add([{"id": name, "vector": [1, 2]} for name in "abc"])
    with Qdrant().open(str(tmp_path / "s")) as store:
        assert 3 == store.count()


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">="])
def test_whole_numbers_beyond_float64_have_no_order(tmp_path, sign):
    """Fault V2: Qdrant compares ranges as float64, so it is said and not guessed."""
    pytest.importorskip("qdrant_client")
    with Qdrant().create(str(tmp_path / "s"), store_schema(2, {"n": "int64"})) as store:
        store.add([{"id": "a", "vector": [1, 2], "n": 2**53}])
        with pytest.raises(StorageError, match=r"expected one up to 2\^53 in size, got 9007199254"):
            store.count(f"n {sign} {2**53 + 1}")
        assert 1 == store.count(f"n != {2**53 + 1}")
