"""Standard input as a file, and options of two names."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from aios_core.errors import DataError, StorageError


@contextmanager
def piped(suffix: str) -> Iterator[Path]:
    """A file with all of standard input, as long as the block lasts; errors call it so.

    Args:
        suffix: of the file, which says how it is read.

    Raises:
        UsageError: it is no suffix.
    """
    if not re.fullmatch(r"[a-z0-9]+(\.[a-z0-9]+)?", suffix):
        raise click.UsageError(f"expected --format with a suffix such as csv, got {suffix!r}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"standard-input.{suffix}"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            yield path
        except (DataError, StorageError) as error:
            kind = DataError if isinstance(error, DataError) else StorageError
            raise kind(str(error).replace(str(path), "standard input")) from error


def pairs(option: str, values: Sequence[str]) -> dict[str, str]:
    """The values of an option that names two things.

    Raises:
        UsageError: one has no equals sign, or comes twice.
    """
    named: dict[str, str] = {}
    for value in values:
        left, sign, right = value.partition("=")
        if not (left and sign and right):
            raise click.UsageError(f"expected {option}, got {value!r}")
        if left in named:
            raise click.UsageError(f"{option}: {left!r} is given twice")
        named[left] = right
    return named
