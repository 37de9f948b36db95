"""A model's files take their names all at once, whatever stops the process."""

import fcntl
import json
import os
import shutil
import stat
from pathlib import Path

import pytest
import torch

from aios_core.errors import ModelSaveError
from aios_plugins.tensor_formats.parquet import loader, publish
from aios_plugins.tensor_formats.parquet.loader import WeightLoader
from aios_plugins.tensor_formats.parquet.writer import WeightWriter


def write(path, value, *, shards, count=3):
    with WeightWriter(path, max_shard=100 if shards else 1 << 30) as file:
        for n in range(count):
            file.add(f"w{n}", torch.full((32,), float(value)))
    return file.written


def values(path):
    return {float(tensor[0]) for tensor in WeightLoader.open(path).values()}


@pytest.mark.parametrize("before", ["one", "many", "few"])
@pytest.mark.parametrize("after", ["one", "many", "few"])
def test_nothing_of_the_old_model_stays(tmp_path, before, after):
    """Fault E7: fewer shards leave none of the others, and one file leaves no index."""
    path, count = tmp_path / "m.parquet", {"one": 1, "few": 2, "many": 4}
    for value, kind in ((1, before), (2, after), (3, before), (4, after)):
        written = write(path, value, shards=kind != "one", count=count[kind])
        assert {float(value)} == values(path)
        assert {float(value)} == values(written)
        names = {path.name for path in tmp_path.iterdir()}
        if kind == "one":
            assert {"m.parquet"} == names
        else:
            shards = json.loads(written.read_text())["shards"]
            assert {*shards, "m.parquet.index.json"} == names
            assert count[kind] == len(shards)


def test_a_file_of_someone_else_is_not_replaced_by_a_shard(tmp_path):
    """Fault E7."""
    other = tmp_path / "m-00001-of-00003.parquet"
    other.write_text("not ours")
    write(tmp_path / "m.parquet", 1, shards=True)

    assert "not ours" == other.read_text()
    assert {1.0} == values(tmp_path / "m.parquet")


def orphan(tmp_path):
    """What a writer leaves that is killed before it gives its index a name."""
    made = write(tmp_path / "other" / "m.parquet", 7, shards=True)
    shards = json.loads(made.read_text())["shards"]
    for name in shards:
        (tmp_path / name).write_bytes((made.parent / name).read_bytes())
    hidden = tmp_path / ".m.parquet.index.json.0123abcd"
    hidden.write_bytes(made.read_bytes())
    shutil.rmtree(made.parent)
    return hidden


def test_what_a_killed_writer_left_is_removed(tmp_path):
    """Fault E7, Fault N7: shards that no index names, and nothing of anybody else."""
    orphan(tmp_path)
    stays = tmp_path / ".m.parquet.index.json.notours"
    stays.write_text("{}")
    (tmp_path / "m-00003-of-00003.parquet").write_text("not ours")
    write(tmp_path / "m.parquet", 1, shards=False)

    names = {path.name for path in tmp_path.iterdir()}
    assert {"m.parquet", stays.name, "m-00003-of-00003.parquet"} == names


def test_shards_that_an_index_names_stay(tmp_path):
    """Fault N7: a hidden index may be a copy of one that has its name."""
    made = write(tmp_path / "m.parquet", 7, shards=True)
    (tmp_path / ".m.parquet.index.json.0123abcd").write_bytes(made.read_bytes())
    write(tmp_path / "other.parquet", 1, shards=False)

    assert {7.0} == values(tmp_path / "m.parquet")
    assert [] == list(tmp_path.glob(".*"))


def test_what_another_writer_holds_stays(tmp_path):
    """Fault N7: a hidden index may be one that gets its name just now."""
    hidden = orphan(tmp_path)
    with hidden.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write(tmp_path / "m.parquet", 1, shards=False)
        assert hidden.exists()
    write(tmp_path / "m.parquet", 2, shards=False)

    assert ["m.parquet"] == [path.name for path in tmp_path.iterdir()]


def test_two_writers_leave_each_other_alone(tmp_path):
    path = tmp_path / "m.parquet"
    with WeightWriter(path) as first:
        first.add("a", torch.ones(3))
        write(path, 2, shards=True)
        assert {2.0} == values(path)

    assert {1.0} == values(path)


@pytest.mark.parametrize("shards", [False, True])
def test_a_model_that_is_written_anew_while_it_is_opened_is_opened_anew(
    tmp_path, monkeypatch, shards
):
    """Fault E7: after a reader has its index, another process may remove the shards."""
    path, real, left = tmp_path / "m.parquet", loader._shards, [2]
    write(path, 1, shards=True)

    def meanwhile(index):
        result = real(index)
        if left:
            write(path, left.pop(), shards=shards)
        return result

    monkeypatch.setattr(loader, "_shards", meanwhile)

    assert {2.0} == values(path)


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
@pytest.mark.parametrize("shards", [False, True])
def test_rights_are_those_that_the_umask_gives(tmp_path, mask, shards):
    """Fault N10."""
    before = os.umask(mask)
    try:
        write(tmp_path / "m.parquet", 1, shards=shards)
        write(tmp_path / "m.parquet", 2, shards=shards)
    finally:
        os.umask(before)

    rights = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert {0o666 & ~mask} == rights


def test_a_file_is_durable_before_it_has_its_name(tmp_path, monkeypatch):
    """Fault E7: a loss of power leaves no name without bytes, and no index without shards."""
    calls = []

    def inode(file):
        result = os.fstat(file) if isinstance(file, int) else Path(file).stat()
        return result.st_ino, result.st_size  # an fsync before the last byte is none

    for name in ("fsync", "replace", "rename"):
        real = getattr(os, name)
        recorded = lambda *a, _real=real, _name=name, **k: (  # noqa: E731
            calls.append((_name, inode(a[0]), str(a[-1]))),
            _real(*a, **k),
        )[1]
        monkeypatch.setattr(os, name, recorded)
    write(tmp_path / "m.parquet", 1, shards=True)
    folder = inode(tmp_path)
    named = [at for at, (name, *_) in enumerate(calls) if name in {"rename", "replace"}]

    assert 4 == len(named)
    for at in named:
        assert calls[at][1] in {inode(path) for path in tmp_path.iterdir()}, "it is whole"
        assert ("fsync", calls[at][1]) in [call[:2] for call in calls[:at]]
    index = named[-1]
    assert "m.parquet.index.json" in calls[index][2]
    assert ("fsync", folder) in [call[:2] for call in calls[named[-2] + 1 : index]]
    assert ("fsync", folder) in [call[:2] for call in calls[index + 1 :]]


def test_an_index_goes_after_the_file_that_follows_it_is_durable(tmp_path, monkeypatch):
    """A loss of power leaves the old model or the new one."""
    calls, folder = [], tmp_path.stat().st_ino
    write(tmp_path / "m.parquet", 1, shards=True)
    for name in ("fsync", "replace", "rename", "unlink"):
        real = getattr(os, name)
        recorded = lambda *a, _real=real, _name=name, **k: (  # noqa: E731
            calls.append((_name, os.fstat(a[0]).st_ino if _name == "fsync" else str(a[-1]))),
            _real(*a, **k),
        )[1]
        monkeypatch.setattr(os, name, recorded)
    write(tmp_path / "m.parquet", 2, shards=False)
    path = str(tmp_path / "m.parquet")
    there = next(at for at, call in enumerate(calls) if call[0] != "fsync" and call[1] == path)
    names = [(name, Path(str(what)).name) for name, what in calls]
    gone = [names.index(("unlink", f"m-0000{n}-of-00003.parquet")) for n in (1, 2, 3)]
    index = calls.index(("unlink", f"{path}.index.json"))

    assert ("fsync", folder) in calls[there:index]
    assert index < min(gone)
    assert ("fsync", folder) in calls[max(gone) :]


def test_a_folder_and_its_new_index_are_held_while_shards_take_their_names(tmp_path, monkeypatch):
    """Another process that writes or sweeps there waits, or leaves them alone."""
    held, real = [], publish.settle

    def settle(*given):
        for path in (tmp_path, *tmp_path.glob(".m.parquet.index.json.*")):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(path)
            os.close(descriptor)
        real(*given)

    monkeypatch.setattr(publish, "settle", settle)
    write(tmp_path / "m.parquet", 1, shards=True)

    assert 3 == held.count(tmp_path)
    assert 3 == len(held) - held.count(tmp_path)


def test_shards_that_cannot_all_be_named_leave_the_old_model(tmp_path, monkeypatch):
    path, real, left = tmp_path / "m.parquet", publish.settle, [1, 2]
    write(path, 1, shards=True)
    before = {path.name for path in tmp_path.iterdir()}

    def settle(*given):
        if not left:
            raise OSError(28, "No space left on device")
        left.pop()
        real(*given)

    monkeypatch.setattr(publish, "settle", settle)
    with pytest.raises(ModelSaveError, match="No space left"):
        write(path, 2, shards=True)

    assert before == {path.name for path in tmp_path.iterdir()}
    assert {1.0} == values(path)


@pytest.mark.parametrize("name", [".m.parquet.index.json.0123abcd", "m.parquet.index.json"])
def test_what_an_index_names_outside_of_its_folder_stays(tmp_path, name):
    """Whoever wrote it: only files beside an index are its shards."""
    victim, folder = write(tmp_path / "victim.parquet", 1, shards=False), tmp_path / "here"
    folder.mkdir()
    digests = {"../victim.parquet": WeightLoader.open(victim).files[0].digest}
    (folder / name).write_text(json.dumps({"format": 1, "shards": digests}))
    write(folder / "m.parquet", 2, shards=False)

    assert {1.0} == values(victim)
    assert ["m.parquet"] == [path.name for path in folder.iterdir()]


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    """Fault N7: whatever the writer had begun."""
    import aios_plugins.tensor_formats.parquet.rows as module

    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("_parquet", "_table"):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, full)
            with pytest.raises(ModelSaveError, match="No space left"):
                write(tmp_path / "m.parquet", 1, shards=False)
        assert [] == list(tmp_path.iterdir())
