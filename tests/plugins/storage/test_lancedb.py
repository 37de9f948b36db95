"""LanceDB on an object store: an S3 that a process of moto serves (pip install 'moto[server]')."""

import importlib.util
import itertools
import socket
import subprocess
import sys
import time
import urllib.request
from typing import ClassVar

import pytest

from aios_core.contracts import store_schema
from aios_core.memory import Place
from aios_core.testing.contracts.storage import StorageContract
from aios_plugins.storage.lancedb import LanceDb

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("moto") is None, reason="moto is not installed"),
]


@pytest.fixture(scope="module")
def bucket():
    """The uri of an empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    settings = {
        "AWS_ENDPOINT": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "anyone",
        "AWS_SECRET_ACCESS_KEY": "anything",
        "AWS_REGION": "us-east-1",
    }
    try:
        for left in range(300, -1, -1):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if not left:
                    raise
                time.sleep(0.1)
        made = urllib.request.Request(f"{settings['AWS_ENDPOINT']}/memories", method="PUT")
        urllib.request.urlopen(made, timeout=60).close()
        with pytest.MonkeyPatch.context() as environment:
            for name, value in settings.items():
                environment.setenv(name, value)
            yield "s3://memories"
    finally:
        server.terminate()
        server.wait()


class TestObjectStore(StorageContract):
    component = LanceDb(index_rows=1000)
    varied: ClassVar = {}  # of a folder they cost less
    examples = 3

    @pytest.fixture(scope="class")
    @classmethod
    def new_uri(cls, bucket):
        numbers = itertools.count()
        return lambda: f"{bucket}/contract/{next(numbers)}"


def test_a_store_moves_to_a_bucket_and_back(bucket, there_and_back):
    there_and_back(Place.of(f"lancedb:{bucket}/moved"), map(str, range(50)))


def test_searching_texts_writes_nothing(tmp_path):
    """A store that is opened for reading is left as it is, also where nothing can be written."""
    place = tmp_path / "store"
    with LanceDb().create(str(place), store_schema(3)) as store:
        store.add([{"id": "a", "vector": [1, 2, 3], "text": "a red fox"}])
    before = sorted(path.relative_to(place) for path in place.rglob("*"))
    with LanceDb().open(str(place), read_only=True) as store:
        assert ["a"] == store.search_text("fox")["id"].to_pylist()
    assert before == sorted(path.relative_to(place) for path in place.rglob("*"))
