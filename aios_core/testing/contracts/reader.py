"""What every reader of files must do."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aios_core.contracts import TextSettings
from aios_core.contracts.reader import FileRow
from aios_core.errors import DataError
from aios_core.testing.contracts.base import Contract, expect

if TYPE_CHECKING:
    from aios_core.contracts import FileReader


def damaged(example: bytes) -> list[bytes]:
    """Files that are not what they seem: cut short, changed, of another kind, or empty.

    Args:
        example: a sound one.
    """
    draw = random.Random(0)  # noqa: S311  # of nothing secret
    files = [b"", b"\xff\xfe\xfd", bytes(200), draw.randbytes(300), example * 2]
    files += [example[: len(example) * part // 7] for part in range(1, 7)]
    for _ in range(40):
        changed = bytearray(example)
        for _ in range(3):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        files.append(bytes(changed))
    return files


class ReaderContract(Contract["FileReader"]):
    """Subclass it and set ``component``: a reader's class, or one that is built."""

    @classmethod
    def try_out(cls, plugin: FileReader) -> None:
        """An example is bytes."""
        assert expect(plugin.example(), bytes, "example"), "the example is empty"

    def test_is_built_without_values(self, instance: FileReader) -> None:
        """No configuration holds one, so its fields have defaults."""
        type(instance)()

    def test_rows_of_the_example(self, instance: FileReader, tmp_path: Path) -> None:
        """Both, with numbers that rise; or it says that such a file has no rows."""
        path, seen = _written(tmp_path, instance), list[int]()
        try:
            rows = list(instance.rows(path, seen.append))
        except DataError as error:
            _assert_named(path, error)
            return
        assert all(isinstance(row, FileRow) for row in rows), "rows gives something else"
        assert ["first", "second"] == [row.values["text"] for row in rows]
        assert rows[0].number < rows[1].number
        assert sum(seen) <= 1000, f"progress adds up to {sum(seen)}; expected at most 1000"
        assert all(str(path) in instance.where(path, row.number) for row in rows)

    def test_texts_of_the_example(self, instance: FileReader, tmp_path: Path) -> None:
        """Both in their order, and where each is; or all of a file that is one text."""
        path = _written(tmp_path, instance)
        pairs = list(instance.texts(path, TextSettings()))
        assert all(str(path) in where for where, _ in pairs), "a place does not name the file"
        if instance.plain:
            ((_, text),) = pairs
            assert text.encode() == instance.example()
        else:
            assert ["first", "second"] == [text for _, text in pairs]

    def test_damaged_files_are_refused_or_read(self, instance: FileReader, tmp_path: Path) -> None:
        """Whatever bytes they hold: rows, or an error of ours that names the file."""
        for number, data in enumerate(damaged(instance.example())):
            path = _written(tmp_path / f"{number}", instance, data)
            for read in (
                lambda path=path: list(instance.rows(path)),
                lambda path=path: list(instance.texts(path, TextSettings())),
                lambda path=path: list(instance.records(path, TextSettings())),
                lambda path=path: instance.schema(path),
            ):
                try:
                    read()
                except DataError as error:
                    _assert_named(path, error)
                except Exception as error:
                    error.add_note(f"of a file with {data[:40]!r}")
                    raise

    def test_files_are_left_as_they_are(self, instance: FileReader, tmp_path: Path) -> None:
        """A reader writes nothing, beside them neither."""
        path = _written(tmp_path, instance)
        list(instance.texts(path, TextSettings()))
        assert [path] == list(tmp_path.iterdir())
        assert path.read_bytes() == instance.example()

    def test_records_of_the_example(self, instance: FileReader, tmp_path: Path) -> None:
        """Those of a data set: both, with where each is; a text has none and says so."""
        path = _written(tmp_path, instance)
        try:
            rows = list(instance.records(path, TextSettings()))
        except DataError as error:
            _assert_named(path, error)
            return
        assert ["first", "second"] == [row.values["text"] for row in rows]
        places = [instance.place(path, row) for row in rows]
        assert all(str(path) in place for place in places), "a place does not name the file"
        assert len(set(places)) == 2, f"two rows are in one place, {places[0]}"

    def test_a_missing_file_is_an_error(self, instance: FileReader, tmp_path: Path) -> None:
        """Of the system, which whoever asked puts in words, or of ours."""
        for read in (instance.rows, lambda path: instance.texts(path, TextSettings())):
            with pytest.raises((OSError, DataError)):
                list(read(tmp_path / "missing"))


def _assert_named(path: Path, error: DataError) -> None:
    assert str(path) in str(error), f"{error} does not name the file"


def _written(folder: Path, reader: FileReader, data: bytes | None = None) -> Path:
    """An example, or other bytes under its name."""
    path = folder / expect(reader.example_name, str, "example_name")
    folder.mkdir(exist_ok=True)
    path.write_bytes(reader.example() if data is None else data)
    return path
