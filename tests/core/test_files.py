from __future__ import annotations

import pytest

from aios_core.files import fault, manifest, new_folder, remove_folder, replace_text


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
    assert fault(path, entry) == "is truncated or changed: 7 bytes, want 8"
    path.write_bytes(b"12345679")
    assert "SHA-256" in fault(path, entry)
    path.unlink()
    assert fault(path, entry) == "is missing"
    path.touch()
    assert "want None" in fault(path, {})
