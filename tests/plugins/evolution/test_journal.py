"""The journal itself: its chain, its lock and its HEAD."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_core.errors import EvolutionError
from aios_plugins.evolution.journal import Journal


@pytest.fixture
def journal(tmp_path):
    journal = Journal.of(tmp_path)
    with journal.locked():
        for number in range(4):
            journal.add("test", number=number)
    return journal


def test_lines_are_only_added(journal):
    before = (journal.folder / "journal.jsonl").read_bytes()
    journal.add("test", number=4)

    assert list(range(5)) == [entry["number"] for entry in journal.entries()]
    assert (journal.folder / "journal.jsonl").read_bytes().startswith(before)


def test_half_a_line_at_the_end_was_never_written(journal):
    path = journal.folder / "journal.jsonl"
    with path.open("ab") as file:
        file.write(b'{"event": "te')

    assert 4 == len(journal.entries())
    journal.add("test", number=4)
    assert list(range(5)) == [entry["number"] for entry in journal.entries()]


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_changed_line_is_found(journal, line):
    path = journal.folder / "journal.jsonl"
    lines = path.read_text().splitlines()
    lines[line] = json.dumps(json.loads(lines[line]) | {"number": 9})
    path.write_text("\n".join(lines) + "\n")

    with pytest.raises(EvolutionError, match=rf"journal\.jsonl:{line + 2}: does not follow"):
        journal.entries()


@pytest.mark.parametrize("left", [0, 1, 3, None])
def test_a_journal_that_was_cut_is_found(journal, left):
    """Fault T5: whole lines at the end, all of them, or the file; nor is such a journal added to.

    Of a run without an accepted version too, whose HEAD names nothing that the journal lacks.
    """
    path = journal.folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    if left is None:
        path.unlink()
    else:
        path.write_bytes(b"".join(lines[:left]))

    with pytest.raises(EvolutionError, match=f"lines at its end are gone: {left or 0} are left"):
        journal.entries()
    with pytest.raises(EvolutionError, match="are gone"):
        journal.add("test", number=4)


def test_a_line_is_on_disk_before_what_relies_on_it(journal, monkeypatch):
    """A loss of power cannot leave a HEAD, or a digest of the last line, without its line."""
    import os
    from pathlib import Path

    done, fsync, replace = [], os.fsync, Path.replace

    def synced(descriptor):
        done.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def replaced(path, target):
        done.append(("replace", Path(target).name))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    journal.add("test", number=5)
    journal.move(None)

    order = [
        done.index(each)
        for each in (
            ("sync", "journal.jsonl"),
            ("sync", "evolution"),
            ("sync", "last"),
            ("replace", "last"),
            ("sync", "HEAD"),
            ("replace", "HEAD"),
        )
    ]
    assert sorted(order) == order
    assert ("sync", "evolution") == done[-1], "the name HEAD too"


@given(junk=st.binary(max_size=40))
def test_junk_is_an_error_or_no_line(tmp_path_factory, junk):
    folder = tmp_path_factory.mktemp("junk")
    (folder / "evolution").mkdir()
    for name in ("journal.jsonl", "HEAD"):
        (folder / "evolution" / name).write_bytes(junk)
    journal = Journal.of(folder)
    for read in (journal.entries, lambda: journal.head):
        try:
            read()
        except EvolutionError:
            continue


@pytest.mark.parametrize("name", ["../../../etc/passwd", "..", "", "A" * 64, "a" * 63])
def test_no_name_leaves_the_folder(journal, name):
    with pytest.raises(EvolutionError, match="expected an id of 64 hex digits"):
        journal.version(name)


def test_head_moves_only_to_what_is_there(journal):
    with pytest.raises(EvolutionError, match="is missing"):
        journal.move("a" * 64)
    assert journal.head is None


@pytest.mark.parametrize("nothing", ["", " "])
def test_an_empty_name_is_that_of_no_version(journal, nothing):
    """Every id begins with it, so a single version would be meant by it."""
    (journal.folder / "versions" / ("a" * 64)).mkdir(parents=True)

    assert "a" * 64 == journal.named("a")
    with pytest.raises(EvolutionError, match=f"expected the id of a skill, got {nothing!r}"):
        journal.named(nothing)
