"""The files of a store in memory: what is left, what is taken away, and who may write."""

import fcntl
import json
import os

import pytest

from aios_core.contracts import store_schema
from aios_core.errors import StorageError
from aios_core.memory.folder import Folder
from aios_plugins.storage.numpy import Numpy

LEFT = ["rows.7", "faiss.12", ".STORE.json.0123abcd"]
"""What killed writers leave."""
OTHERS = ["notes.txt", "rows", "rows.x", "rows.1.bak", "7.rows", ".STORE.json.xyz"]
"""What they do not."""


def put(folder, *names):
    for name in names:
        (folder / name).write_text("x")


def test_a_folder_that_is_not_empty_does_not_become_a_store(tmp_path):
    """And is left as it was, without a lock; what a killed creator left does not hinder."""
    for name in OTHERS:
        folder = tmp_path / name
        folder.mkdir()
        put(folder, name)
        with pytest.raises(StorageError, match="cannot become a store: it is not empty"):
            Folder.create(folder, "dot")
        put(folder, "LOCK")
        with pytest.raises(StorageError, match="cannot become a store: it is not empty"):
            Folder.create(folder, "dot")
        assert {name, "LOCK"} == {path.name for path in folder.iterdir()}
    (tmp_path / "rows" / "LOCK").unlink()
    with pytest.raises(StorageError, match="cannot become a store: it is not empty"):
        Folder.create(tmp_path / "rows", "dot")
    assert ["rows"] == [path.name for path in (tmp_path / "rows").iterdir()]
    folder = tmp_path / "left"
    folder.mkdir()
    put(folder, *LEFT)
    with pytest.raises(StorageError, match="cannot become a store"):  # no lock: nobody's
        Folder.create(folder, "dot")
    put(folder, "LOCK")
    Folder.create(folder, "dot").close()
    assert ["LOCK"] == [path.name for path in folder.iterdir()]


def test_a_store_that_another_process_makes_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    """Between the first look and the lock: its rows would go."""
    made, flock = [], fcntl.flock

    def late(descriptor, operation):
        if not made:
            made.append(True)
            put(tmp_path / "store", "STORE.json")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(StorageError, match="cannot become a store: it is not empty"):
        Folder.create(tmp_path / "store", "dot")
    descriptor = os.open(tmp_path / "store" / "LOCK", os.O_RDWR)
    flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)

    assert "x" == (tmp_path / "store" / "STORE.json").read_text()


def test_a_writer_removes_what_killed_ones_left_and_nothing_else(tmp_path):
    """A reader removes nothing."""
    folder = tmp_path / "store"
    with Numpy().create(str(folder), store_schema(2), metric="dot") as store:
        store.add([{"id": "a", "vector": [1, 2]}])
    listed = {path.name for path in folder.iterdir()}
    put(folder, *LEFT, *OTHERS)
    (folder / "deep.9").mkdir()
    with Numpy().open(str(folder), read_only=True) as store:
        assert 1 == store.verify()
    assert {*listed, *LEFT, *OTHERS, "deep.9"} == {path.name for path in folder.iterdir()}
    with Numpy().open(str(folder)) as store:
        assert 1 == store.verify()
    assert {*listed, *OTHERS, "deep.9"} == {path.name for path in folder.iterdir()}


def test_a_closed_store_lets_the_next_writer_in(tmp_path):
    """Also where a forked process still has the descriptor of its lock."""
    folder = Folder.create(tmp_path / "store", "dot")
    folder.save({"rows": lambda path: path.write_bytes(b"x")})
    inherited = os.dup(folder._lock)
    with pytest.raises(StorageError, match="is being written by another process"):
        Folder(tmp_path / "store", write=True)
    folder.close()
    folder.close()
    again = Folder(tmp_path / "store", write=True)
    os.close(inherited)
    again.close()


def test_a_lock_that_cannot_be_opened_is_told(tmp_path):
    Numpy().create(str(tmp_path / "store"), store_schema(2)).close()
    (tmp_path / "store" / "LOCK").unlink()
    (tmp_path / "store" / "LOCK").mkdir()

    with pytest.raises(StorageError, match="store cannot be written: Is a directory"):
        Folder(tmp_path / "store", write=True)


def test_generations_follow_each_other_and_tell_their_bytes(tmp_path):
    """What is listed is what `load` gives; the files of the one before are gone."""
    folder = Folder.create(tmp_path / "store", "l2")
    for number, data in enumerate([b"one", b"three"], 1):
        folder.save({
            "rows": lambda path, data=data: path.write_bytes(data),
            "graph": lambda path: path.write_bytes(b"g"),
        })  # fmt: skip
        report = json.loads((tmp_path / "store" / "STORE.json").read_text())
        names = {"rows": f"rows.{number}", "graph": f"graph.{number}"}
        assert (1, number, "l2") == (report["format"], report["generation"], report["metric"])
        assert names == {part: path.name for part, path in folder.load().items()}
        assert len(data) + 1 == folder.size
        assert {*names.values(), "STORE.json", "LOCK"} == {
            path.name for path in (tmp_path / "store").iterdir()
        }
    folder.close()
    assert names == {
        part: path.name for part, path in Folder(tmp_path / "store", write=False).load().items()
    }


@pytest.mark.parametrize("fails", ["rows", "graph"])
def test_a_generation_that_cannot_be_written_leaves_the_one_before(tmp_path, fails):
    folder = Folder.create(tmp_path / "store", "l2")
    folder.save({"rows": lambda path: path.write_bytes(b"one")})
    before = {path.name: path.read_bytes() for path in (tmp_path / "store").iterdir()}

    def write(path):
        path.write_bytes(b"half")
        if path.name.startswith(fails):
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="cannot be written: No space left"):
        folder.save({"rows": write, "graph": write})
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "store").iterdir()}
    assert ["rows"] == list(folder.load())
    folder.close()
