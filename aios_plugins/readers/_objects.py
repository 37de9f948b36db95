"""Objects of JSON as rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from aios_core import strict_json
from aios_core.contracts.maker import MADE_BY, Maker
from aios_core.contracts.reader import FileRow
from aios_core.errors import DataError


def objects(path: Path, numbered: Iterable[tuple[int, str]]) -> Iterator[FileRow]:
    """The objects of lines.

    Args:
        path: of the file.
        numbered: its lines.

    Raises:
        DataError: a line is something else.
    """
    for number, line in numbered:
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            values = strict_json.loads(line)
        except strict_json.RepeatedKeyError as error:
            raise DataError(f"{where}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: is not JSON: {error}; expected an object a line") from error
        yield FileRow(number, as_object(values, where), None, where)


def as_object(values: Any, where: str) -> dict[str, Any]:
    """A value that is an object.

    Raises:
        DataError: it is none.
    """
    if not isinstance(values, dict):
        raise DataError(f"{where}: expected an object with text, got {type(values).__name__}")
    return values


def marked(row: FileRow) -> FileRow:
    """A row with what made its vector, which it says itself.

    Raises:
        DataError: it says something else.
    """
    if MADE_BY not in row.values:
        return row
    values = dict(row.values)
    try:
        return row._replace(maker=Maker.parse(values.pop(MADE_BY)), values=values)
    except ValueError as error:
        raise DataError(f"{row.where}: {MADE_BY!r}: {error}") from None
