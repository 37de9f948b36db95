from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from aios_core import files
from aios_core.files import (
    cache_folder,
    fault,
    manifest,
    new_file,
    new_folder,
    remove_folder,
    replace_text,
)


def test_a_folder_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "deep" / "a"
    with new_folder(target) as temporary:
        (temporary / "x").write_text("1")
        assert not target.exists()

    assert (target / "x").read_text() == "1"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "a") as temporary:  # noqa: PT012  # the raise is ours
        (temporary / "x").write_text("1")
        raise ZeroDivisionError

    assert not list(tmp_path.iterdir())


def test_the_first_of_two_writers_stays(tmp_path):
    with new_folder(tmp_path / "a") as slow:
        with new_folder(tmp_path / "a") as fast:
            (fast / "x").write_text("fast")
        (slow / "x").write_text("slow")

    assert (tmp_path / "a" / "x").read_text() == "fast"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_no_folder_keeps_its_name(tmp_path):
    """Neither a folder that appears takes it, nor is it removed as one."""
    (tmp_path / "a").write_text("mine")
    with pytest.raises(NotADirectoryError), new_folder(tmp_path / "a") as temporary:
        (temporary / "x").touch()
    with pytest.raises(NotADirectoryError):
        remove_folder(tmp_path / "a")

    assert "mine" == (tmp_path / "a").read_text()
    assert [tmp_path / "a"] == list(tmp_path.iterdir())


def test_an_entry_is_size_and_sha_256(tmp_path):
    """Of what a file holds, by its place in the folder."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_bytes(b"xyz" * 99_999)
    (tmp_path / "a").touch()

    assert {
        "a": {"bytes": 0, "sha256": hashlib.sha256().hexdigest()},
        "deep/b": {"bytes": 299_997, "sha256": hashlib.sha256(b"xyz" * 99_999).hexdigest()},
    } == manifest(tmp_path)
    assert fault(tmp_path / "a", {"bytes": 0}) is not None
    assert fault(tmp_path / "a", {"bytes": 0, "sha256": ""}) is not None


def test_text_is_replaced_at_once(tmp_path):
    path = tmp_path / "latest"
    replace_text(path, "one")
    replace_text(path, "two")

    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_text_that_cannot_be_written_leaves_the_old(tmp_path):
    path = tmp_path / "latest"
    replace_text(path, "one")
    with pytest.raises(UnicodeEncodeError):
        replace_text(path, "\ud800")

    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_removing_twice_is_no_fault(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").touch()
    remove_folder(tmp_path / "a")
    remove_folder(tmp_path / "a")

    assert not list(tmp_path.iterdir())


def test_faults_are_named(tmp_path):
    path = tmp_path / "deep" / "x"
    path.parent.mkdir()
    path.write_bytes(b"12345678")
    entry = manifest(tmp_path)["deep/x"]

    assert fault(path, entry) is None
    path.write_bytes(b"1234567")
    assert fault(path, entry) == "is truncated or changed: expected 8 bytes, got 7"
    path.write_bytes(b"12345679")
    assert "SHA-256" in fault(path, entry)
    path.unlink()
    assert fault(path, entry) == "is missing"
    path.touch()
    assert "expected None" in fault(path, {})


@pytest.mark.parametrize(("umask", "rights"), [(0o022, 0o644), (0o007, 0o660), (0o077, 0o600)])
def test_files_have_the_rights_that_the_umask_gives(tmp_path, umask, rights):
    """Fault N10: whatever library wrote them."""
    before = os.umask(umask)
    try:
        with new_file(tmp_path / "a.safetensors") as temporary:
            save_file({"x": torch.zeros(1)}, temporary)
        with new_folder(tmp_path / "b") as folder:
            save_file({"x": torch.zeros(1)}, folder / "x.safetensors")
            (folder / "deep").mkdir()
            (folder / "deep" / "y").touch(0o600)
        replace_text(tmp_path / "c", "text")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]

    assert 4 == len(files)
    assert {rights} == {path.stat().st_mode & 0o777 for path in files}


KILLED = """
import os, signal, sys
from pathlib import Path
from aios_core.files import new_folder
with new_folder(Path(sys.argv[1])) as folder:
    (folder / "x").touch()
    print("there", flush=True)
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    """Fault N7: no litter stays."""
    start = [sys.executable, "-c", KILLED]
    subprocess.run([*start, tmp_path / "dead", "kill"], capture_output=True, check=False)
    assert 1 == len(list(tmp_path.glob(".dead.*.part")))
    with subprocess.Popen(
        [*start, tmp_path / "alive", "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        replace_text(tmp_path / "mine", "text")
        assert not list(tmp_path.glob(".dead.*"))
        assert 1 == len(list(tmp_path.glob(".alive.*")))
    assert 0 == child.returncode

    assert {"alive", "mine"} == {path.name for path in tmp_path.iterdir()}


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path):
    """Fault N10: for whoever reads it, and no traceback."""
    (tmp_path / "x").mkdir()

    assert fault(tmp_path / "x", {"bytes": (tmp_path / "x").stat().st_size}).startswith(
        "cannot be read: "
    )


def test_what_takes_a_name_is_on_disk_before(tmp_path, monkeypatch):
    """Fault N10: a loss of power leaves no name of a file, or of a folder, that is not filled."""
    synced, done, names, fsync = {}, [], [], os.fsync

    def content(path):
        return sorted(each.name for each in path.iterdir()) if path.is_dir() else path.read_bytes()

    def recorded(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced[path.stat().st_ino] = content(path)
        if path == tmp_path:
            names.append({each for each in synced[path.stat().st_ino] if not each.startswith(".")})
        fsync(descriptor)

    def checked(move):
        def moved(source, target):
            for path in (Path(source), *Path(source).rglob("*")):
                assert content(path) == synced.get(path.stat().st_ino), path
            move(source, target)
            done.append(Path(target))

        return moved

    monkeypatch.setattr(os, "fsync", recorded)
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, checked(getattr(os, name)))
    with new_folder(tmp_path / "folder") as folder:
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "x").write_text("1")
        (folder / "y").write_text("2")
    with new_file(tmp_path / "file") as temporary:
        temporary.write_text("3")
    replace_text(tmp_path / "text", "4")
    replace_text(tmp_path / "text", "5")

    assert ["folder", "file", "text", "text"] == [path.name for path in done]
    assert [{"folder"}, {"file", "folder"}] == [named - {"text"} for named in names[:2]]
    assert {"folder", "file", "text"} <= set(synced[tmp_path.stat().st_ino]), "the names too"


def test_the_cache_is_where_it_is_said(tmp_path, monkeypatch):
    """By AIOS_CACHE as it is, else in a folder `aios` of the user's caches."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "own"))
    results = [cache_folder()]
    for name in ("AIOS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name)
        results.append(cache_folder())

    assert ["own", "xdg/aios", "home/.cache/aios"] == [
        path.relative_to(tmp_path).as_posix() for path in results
    ]
    assert not list(tmp_path.iterdir()), "nothing is made before it is used"


def test_a_cache_that_cannot_be_written_has_a_stand_in(tmp_path, monkeypatch, caplog):
    """One for the process, which is reported once."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "file"))
    first, second = cache_folder(), cache_folder()

    assert first == second != tmp_path / "file"
    assert first.is_dir()
    assert 1 == caplog.text.count("cannot be written, so nothing is cached")


def test_a_folder_that_a_sweep_holds_is_left_to_it(tmp_path, monkeypatch):
    """It is about to be removed, though it is still there."""
    lock, held = files._lock, []

    def first(folder: Path) -> int | None:
        if not held:
            held.append((folder, lock(folder)))
        return lock(folder)

    monkeypatch.setattr(files, "_lock", first)
    with new_file(tmp_path / "a") as temporary:
        ((folder, descriptor),) = held
        shutil.rmtree(folder)
        os.close(descriptor)
        temporary.write_text("whole")

    assert "whole" == (tmp_path / "a").read_text()
    assert [tmp_path / "a"] == list(tmp_path.iterdir())


def test_a_folder_that_is_never_ours_is_said(tmp_path, monkeypatch):
    def held(folder: Path) -> int | None:
        folder.rmdir()
        raise BlockingIOError

    monkeypatch.setattr(files, "_lock", held)
    with pytest.raises(FileExistsError, match="removed by other processes"):
        replace_text(tmp_path / "a", "text")

    assert not list(tmp_path.iterdir())


def test_file_systems_without_locks_are_written(tmp_path, monkeypatch):
    """Nobody sweeps there what another process may be writing."""

    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOTSUP, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with new_file(tmp_path / "a") as temporary:
        temporary.write_text("a")
        replace_text(tmp_path / "b", "b")

    assert {"a", "b"} == {path.name for path in tmp_path.iterdir()}


def test_writers_beside_each_other_do_not_sweep_away_what_is_written(tmp_path):
    names = [f"{number}" for number in range(16)]

    def write(name: str) -> None:
        for _ in range(40):
            replace_text(tmp_path / name, name)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, names))

    assert {name: name for name in names} == {
        path.name: path.read_text() for path in tmp_path.iterdir()
    }
