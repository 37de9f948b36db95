"""Folders of embedded stores that are damaged, newer, in use, or may not be written."""

import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aios_core.contracts import store_schema
from aios_core.errors import StorageError
from aios_core.memory.folder import Folder
from aios_plugins.storage.arrow import Arrow
from aios_plugins.storage.faiss import Faiss
from aios_plugins.storage.numpy import Numpy
from aios_plugins.storage.usearch import Usearch

SCHEMA = store_schema(4, {"n": "int64"})
ROWS = [{"id": str(n), "text": f"text {n}", "vector": [1, n, 0, 0], "n": n} for n in range(50)]
BACKENDS = pytest.mark.parametrize("backend", [Arrow(), Numpy(), Faiss()], ids=repr)


def filled(backend, place):
    with backend.create(str(place), SCHEMA) as store:
        store.add(ROWS)
    return str(place)


@BACKENDS
def test_a_flipped_bit_is_an_error_and_never_an_answer(backend, tmp_path):
    place = Path(filled(backend, tmp_path / "store"))
    right, result = {row["id"]: row["n"] for row in ROWS}, 0
    for path in sorted(place.iterdir()):
        data = path.read_bytes()
        for at in range(0, len(data), max(len(data) // 40, 1)):
            spoilt = bytearray(data)
            spoilt[at] ^= 16
            path.write_bytes(spoilt)
            try:
                with backend.open(str(place), read_only=True) as store:
                    store.verify()
                    table = store.get(list(right), columns=["id", "n"])
            except StorageError:
                result += 1
            else:  # a byte that means nothing, as padding may be
                assert right == dict(zip(*table.to_pydict().values(), strict=True)), (path, at)
        path.write_bytes(data)
    assert result > 50
    with backend.open(str(place)) as store:
        assert 50 == store.verify()


@BACKENDS
@pytest.mark.parametrize("at", [0.0, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_an_error(backend, tmp_path, at):
    place = Path(filled(backend, tmp_path / "store"))
    (largest,) = sorted(place.iterdir(), key=lambda path: path.stat().st_size)[-1:]
    os.truncate(largest, int(largest.stat().st_size * at))

    with contextlib.suppress(StorageError), backend.open(str(place)) as store:
        assert store.verify() in (0, 50), "an interrupted write is dropped as a whole"


@BACKENDS
def test_a_newer_format_is_refused(backend, tmp_path):
    place = Path(filled(backend, tmp_path / "store"))
    if isinstance(backend, Arrow):
        pytest.skip("its manifest has a checksum: the crate tests it")
    path = place / "STORE.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(StorageError, match="has format 2; this version knows formats up to 1"):
        backend.open(str(place))


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"format": "1"}', '{"format": 1, "generation": 1}', "[" * 9999]
)
def test_a_manifest_of_something_else_is_refused(tmp_path, text):
    place = Path(filled(Numpy(), tmp_path / "store"))
    (place / "STORE.json").write_text(text)
    with pytest.raises(StorageError, match=r"STORE\.json is damaged"):
        Numpy().open(str(place))


def test_names_do_not_leave_the_folder(tmp_path):
    place = Path(filled(Numpy(), tmp_path / "store"))
    path = place / "STORE.json"
    manifest = json.loads(path.read_text())
    (name,) = manifest["files"]
    (place / name).rename(tmp_path / name)
    manifest["files"] = {f"../{name}": manifest["files"][name]}
    path.write_text(json.dumps(manifest))
    with pytest.raises(StorageError, match="outside"):
        Numpy().open(str(place))


@BACKENDS
def test_a_second_writer_is_refused_until_the_first_is_gone(backend, tmp_path):
    place = filled(backend, tmp_path / "store")
    cls = type(backend)
    code = (
        f"from {cls.__module__} import {cls.__name__}; store = {cls.__name__}().open({place!r}); "
        "print('held', flush=True); input()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert b"held\n" == other.stdout.readline()
        with pytest.raises(StorageError, match="is being written by another process"):
            backend.open(place)
        with backend.open(place, read_only=True) as store:
            assert 50 == store.count()
        other.kill()
    with backend.open(place) as store:
        assert 50 == store.count()


@BACKENDS
def test_a_folder_that_may_not_be_written_can_be_read(backend, tmp_path):
    place = Path(filled(backend, tmp_path / "store"))
    (place / "LOCK").unlink(missing_ok=True)
    place.chmod(0o555)
    for path in place.iterdir():
        path.chmod(0o444)
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    for folder in place.parents[: -len(Path(tempfile.gettempdir()).parts)]:
        folder.chmod(0o755)
    reader, writer = os.pipe()
    if not (pid := os.fork()):
        answer = []
        if os.geteuid() == 0:
            os.setuid(65534)
        for read_only in (True, False):
            try:
                with backend.open(str(place), read_only=read_only) as store:
                    answer.append(store.count())
            except BaseException as error:  # noqa: BLE001  # all is reported
                answer.append(f"{type(error).__name__}: {error}")
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        count, refusal = json.loads(pipe.read())
    os.waitpid(pid, 0)

    assert 50 == count
    assert refusal.startswith("StorageError")
    assert str(place) in refusal
    assert before == {path.name: path.read_bytes() for path in place.iterdir()}


def test_libraries_of_vectors_open_each_others_stores(tmp_path):
    place = filled(Faiss(), tmp_path / "store")
    for backend in (Usearch(), Numpy(), Faiss(index_type="flat"), Faiss()):
        with backend.open(place) as store:
            assert "7" == store.search([1, 7, 0, 0], 1)["id"][0].as_py()
            store.upsert([ROWS[7]])


def test_a_file_that_goes_between_two_looks_is_a_newer_generation(tmp_path):
    """Fault V8: whatever the library of an index raises when its file is gone."""
    folder = Folder.create(tmp_path / "store", "cosine")
    folder.save({"rows": lambda path: path.write_bytes(b"one")})
    reader = Folder(tmp_path / "store", write=False)
    seen = []

    def use(paths):
        seen.append(paths["rows"].name)
        if len(seen) == 1:
            folder.save({"rows": lambda path: path.write_bytes(b"two")})
            raise ValueError("No such file")
        return paths["rows"].read_bytes()

    assert b"two" == reader.read(use)
    assert 2 == len(set(seen))
    with pytest.raises(StorageError, match="cannot be read"):
        reader.read(lambda _: (tmp_path / "nothing").read_bytes())


HELD = pytest.mark.parametrize("backend", [Numpy(), Faiss(), Usearch()], ids=repr)


@HELD
def test_a_manifest_lists_what_is_on_disk(backend, tmp_path, monkeypatch):
    """Fault N7: a loss of power after it was replaced leaves every file that it lists."""
    synced, lists, fsync, replace = {}, [], os.fsync, os.replace

    def recorded(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            synced[path.name] = path.read_bytes()
        fsync(descriptor)

    def replaced(source, target):
        if Path(target).name == "STORE.json":
            listed = json.loads(Path(source).read_text())["files"]
            for name in listed:
                assert (Path(target).parent / name).read_bytes() == synced.get(name), name
            assert Path(source).read_bytes() == synced.get("STORE.json")
            lists.append(listed)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded)
    monkeypatch.setattr(os, "replace", replaced)
    with backend.create(str(tmp_path / "store"), SCHEMA) as store:
        store.add(ROWS)
        store.flush()
        store.upsert(ROWS[:20])
        store.compact()

    assert 3 == len(lists)
    assert all(lists)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("durability", ["", "commit", "batch", "none"])
def test_a_disk_that_does_not_make_it_safe_is_an_error(durability, again, tmp_path):
    """Fault N7: of the write, or of the flush that promises it; here the log cannot be synced.

    Of a store that was just made or opened again; where nothing is said, a commit is safe.
    """
    settings = {"durability": durability} if durability else {}
    backend, place = Arrow(compaction="explicit", **settings), str(tmp_path / "store")
    durability = durability or "commit"
    store = backend.create(place, SCHEMA)
    store.add(ROWS[:10])
    if again:
        store.close()
        store = backend.open(place)
    logs = [
        int(path.name)
        for path in Path("/proc/self/fd").iterdir()
        if path.is_symlink() and path.readlink().parent == tmp_path / "store"
        if path.readlink().name != "LOCK"
    ]
    assert logs
    with Path("/dev/null").open("r+b") as nothing:  # takes what is written; fsync refuses it
        for log in logs:
            os.dup2(nothing.fileno(), log)
    if durability != "commit":
        store.add(ROWS[10:])
    with pytest.raises(StorageError, match=re.escape(str(tmp_path))):
        store.add(ROWS[10:]) if durability == "commit" else store.flush()
    with contextlib.suppress(StorageError):
        store.close()


@HELD
def test_a_writer_goes_on_from_what_the_one_before_it_left(backend, tmp_path, monkeypatch):
    """Fault V4: also from what it wrote while this one waited for the lock."""
    place = filled(backend, tmp_path / "store")
    flock, before = fcntl.flock, [backend.open(place)]
    before[0].upsert([{**ROWS[0], "n": 7}, {**ROWS[0], "id": "late"}])

    def late(descriptor, operation):
        if operation & fcntl.LOCK_EX and before:
            before.pop().close()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    folder = Folder(Path(place), write=True)
    listed = folder.load()
    folder.close()

    assert not before
    assert json.loads((Path(place) / "STORE.json").read_text()) == folder.manifest
    assert all(path.exists() for path in listed.values())
    with backend.open(place) as store:
        assert 51 == store.verify()
        assert [7] == store.get(["0"])["n"].to_pylist()


@pytest.mark.parametrize("backend", [Arrow(), Numpy(), Faiss(), Usearch()], ids=repr)
def test_what_was_deleted_does_not_come_back_by_a_copy(backend, tmp_path):
    """Fault V4: neither deleted rows nor replaced ones, by a snapshot or by restoring a store."""
    with backend.create(str(tmp_path / "store"), SCHEMA) as store:
        store.add(ROWS)
        store.delete(["3", "4"])
        store.delete(filter="n = 5")
        store.upsert([{**ROWS[7], "n": 700, "vector": [0, 0, 0, 1]}])
        store.snapshot(str(tmp_path / "copy"))
    right = {row["id"]: row["n"] for row in ROWS if row["n"] not in (3, 4, 5)} | {"7": 700}

    for place in ("store", "copy"):
        with backend.create(str(tmp_path / f"of {place}"), SCHEMA) as store:
            store.add([{**ROWS[3], "text": "gone"}])
            store.restore(str(tmp_path / place))
            assert len(right) == store.count() == store.verify()
            table = store.search([1, 3, 0, 0], 100, columns=["id", "n"])
            assert right == dict(zip(*table.select(["id", "n"]).to_pydict().values(), strict=True))
            assert len(right) == table.num_rows
            assert {*right} == {*store.search_text("text", 100)["id"].to_pylist()}
        with backend.open(str(tmp_path / f"of {place}")) as store:
            assert len(right) == store.verify()
