"""JSON: an array of objects, or, as many files of this name are, an object a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from aios_core import strict_json
from aios_core.contracts import FileReader, TextSettings
from aios_core.contracts.reader import FileRow, OnProgress, unseen
from aios_core.errors import DataError
from aios_plugins.readers._objects import as_object, marked, objects
from aios_plugins.readers._text import decode


@frozen
class Json(FileReader):
    """An array of objects, each a row; or an object a line, each a row as in JSON lines."""

    def rows(self, path: Path, on_progress: OnProgress = unseen) -> Iterator[FileRow]:
        """Each object, in UTF-8; what made its vector is under ``_embedding``."""
        return map(marked, self.records(path, TextSettings(), on_progress))

    def records(
        self, path: Path, settings: TextSettings, on_progress: OnProgress = unseen
    ) -> Iterator[FileRow]:
        """Each object, in any encoding."""
        text = decode(path.read_bytes(), str(path), settings).removeprefix("\ufeff")
        if text.lstrip().startswith("{"):
            yield from _lines(path, text)
        else:
            yield from _array(path, text)
        on_progress(1000)

    def example(self) -> bytes:
        """Two objects."""
        return b'[{"text": "first"},\n {"text": "second"}]\n'


def _lines(path: Path, text: str) -> Iterator[FileRow]:
    """Objects, unless all of the file is one."""
    if "\n" in text.strip() and _is_json(text):  # over several lines
        raise DataError(f"{path}: expected an array of objects, or an object a line, got an object")
    yield from objects(path, enumerate(text.split("\n"), 1))


def _is_json(text: str) -> bool:
    try:
        strict_json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _array(path: Path, text: str) -> Iterator[FileRow]:
    number, values = 0, strict_json.values(text)
    while True:
        number += 1
        where = f"{path}: row {number}"
        try:
            value = next(values, _NOTHING)
        except strict_json.RepeatedKeyError as error:
            raise DataError(f"{where}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{where}: is not JSON: {error}; expected an array of objects"
            ) from error
        if value is _NOTHING:
            return
        yield FileRow(number, as_object(value, where), None, where)


_NOTHING = object()
