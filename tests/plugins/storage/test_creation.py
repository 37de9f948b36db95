"""A store that was being made when its process was killed is there and empty, or not there."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from aios_core.contracts import store_schema
from aios_core.errors import StorageError
from aios_core.testing.forking import fork, in_child
from aios_plugins.storage.arrow import Arrow
from aios_plugins.storage.faiss import Faiss
from aios_plugins.storage.lancedb import LanceDb
from aios_plugins.storage.numpy import Numpy
from aios_plugins.storage.qdrant import Qdrant
from aios_plugins.storage.usearch import Usearch

SCHEMA = store_schema(3)
ROW = {"id": "a", "vector": [1, 2, 3], "text": "one"}
EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.truncate", "sqlite3.connect"}
"""Before each of these a process may be killed."""


def usable(backend, place):
    """Make it where it is not there, write a row, and see that nothing else is left."""
    there = backend.exists(place)
    with backend.open(place) if there else backend.create(place, SCHEMA) as store:
        assert 0 == store.count()
        store.add([ROW])
    with backend.open(place, read_only=True) as store:
        return store.verify()


@pytest.mark.parametrize(
    "backend",
    [Numpy(), Faiss(), Usearch(), pytest.param(Qdrant(), marks=pytest.mark.slow)],
    ids=repr,
)
def test_killed_at_each_step_of_making_it(backend, tmp_path):
    """Fault N7: whatever was done, making it again works, and no other file stays."""
    in_child(lambda: backend.create(str(tmp_path / "right"), SCHEMA).close())
    assert 1 == in_child(lambda: usable(backend, str(tmp_path / "right")))
    right = sorted(path.name.partition(".")[0] for path in (tmp_path / "right").iterdir())
    steps = 0
    while True:
        place = str(tmp_path / f"step{steps}")
        if not (child := fork()):
            left = steps

            def count(event, arguments, place=place):
                nonlocal left
                if event in EVENTS and place in str(arguments[0]):
                    if not left:
                        os.kill(os.getpid(), signal.SIGKILL)
                    left -= 1

            sys.addaudithook(count)
            backend.create(place, SCHEMA)
            os._exit(0)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        assert 1 == in_child(lambda at=place: usable(backend, at))
        result = sorted(
            path.name.partition(".")[0] for path in (tmp_path / f"step{steps}").iterdir()
        )
        assert right == result, steps
        if not killed:
            break
        steps += 1
    assert steps >= 4


ANEW = """
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("test_creation", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.killed_at_some_instants(getattr(module, sys.argv[2])(), pathlib.Path(sys.argv[3]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", [Arrow, LanceDb])
def test_killed_at_some_instants_of_making_it(backend, tmp_path):
    """Fault N7: the same where other languages write the files.

    In a process that is started anew, for LanceDB is refused in a fork of one that used it.
    """
    words = [sys.executable, "-c", ANEW, __file__, backend.__name__, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr


def killed_at_some_instants(backend, tmp_path):
    """Kill a process that makes a store, now and then; it can be made again each time."""
    rng, killed = random.Random(1), 0
    for number in range(10):
        place = str(tmp_path / str(number))
        ready, begun = os.pipe()
        if not (child := fork()):
            backend.exists(place)
            os.write(begun, b"x")
            backend.create(place, SCHEMA)
            os._exit(0)
        os.read(ready, 1)
        time.sleep(rng.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        assert 1 == in_child(lambda at=place: usable(backend, at))
        os.close(ready)
        os.close(begun)
    assert killed


def test_a_manifest_without_rows_says_what_is_expected(tmp_path):
    """Fault N7: what an earlier version left is an error in words, not a bare key."""
    Numpy().create(str(tmp_path / "store"), SCHEMA).close()
    path = tmp_path / "store" / "STORE.json"
    path.write_text('{"format": 1, "generation": 0, "metric": "cosine", "files": {}}')

    with pytest.raises(StorageError, match=r"STORE\.json: expected a file of rows, got none"):
        Numpy().open(str(tmp_path / "store"))


def test_a_folder_with_other_files_is_no_place_for_a_store(tmp_path):
    (tmp_path / "notes.1").write_text("looks like ours")
    (tmp_path / "note.txt").write_text("mine")

    for backend in (Numpy(), Qdrant(), LanceDb(), Arrow()):
        with pytest.raises(StorageError, match="it is not empty"):
            backend.create(str(tmp_path), SCHEMA)
    assert ["note.txt", "notes.1"] == sorted(path.name for path in tmp_path.iterdir())
