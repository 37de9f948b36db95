"""Qdrant on a server, where one is given: AIOS_TEST_QDRANT=http://localhost:6333."""

import itertools
import os
from uuid import uuid4

import pytest

from aios_core.testing.contracts.storage import StorageContract
from aios_plugins.storage.qdrant import Qdrant

SERVER = os.environ.get("AIOS_TEST_QDRANT")


@pytest.mark.skipif(SERVER is None, reason="AIOS_TEST_QDRANT names no server")
class TestQdrantServer(StorageContract):
    component = Qdrant

    @pytest.fixture(scope="class")
    @classmethod
    def new_uri(cls):
        run, numbers = uuid4().hex[:8], itertools.count()
        return lambda: f"{SERVER}/aios-{run}-{next(numbers)}"
