"""LanceDB on an object store: an S3 that a process of moto serves (pip install 'moto[server]')."""

import importlib.util
import itertools
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from aios_core.contracts import store_schema
from aios_core.memory import Place, migrate
from aios_core.testing.contracts.storage import StorageContract
from aios_plugins.storage.arrow import Arrow
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
    examples = 3

    @pytest.fixture(scope="class")
    @classmethod
    def new_uri(cls, bucket):
        numbers = itertools.count()
        return lambda: f"{bucket}/contract/{next(numbers)}"


def test_a_store_moves_to_a_bucket_and_back(bucket, tmp_path):
    rows = [{"id": str(n), "vector": [1, n, 2], "text": f"text {n}"} for n in range(50)]
    far = Place.of(f"lancedb:{bucket}/moved")
    with Arrow().create(str(tmp_path / "a"), store_schema(3)) as near:
        near.add(rows)
        with far.backend.create(far.uri, near.schema) as there:
            assert 50 == migrate(near, there).copied
    with (
        far.backend.open(far.uri) as there,
        Arrow().create(str(tmp_path / "b"), there.schema) as back,
    ):
        assert (50, 50) == (migrate(there, back).rows, back.count())
