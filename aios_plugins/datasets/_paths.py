"""Files, folders and patterns as a list of files."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from aios_core.errors import DataError
from aios_core.formats import has_reader, hidden, kinds_of
from aios_core.registry import Registry

log = logging.getLogger(__name__)

Paths: TypeAlias = Path | tuple[Path, ...]


def all_files(paths: Paths, registry: Registry) -> tuple[Path, ...]:
    """Every file, in the order of the paths; those of a folder or a pattern are sorted.

    Args:
        paths: files, folders and patterns.
        registry: where readers are looked up; of a folder only files that have one are taken.

    Raises:
        DataError: one is missing, or a folder or pattern has no such file.
    """
    return tuple(file for path in each(paths) for file in _of(path, registry))


def tell_unread(paths: Paths, files: tuple[Path, ...], registry: Registry) -> None:
    """Say in the log which kinds of files of folders are left out, and which are taken for text.

    Args:
        paths: as for `all_files`.
        files: what it gave.
        registry: where readers are looked up.
    """
    for folder in (path for path in each(paths) if path.is_dir()):
        left = [path for path in _within(folder) if not has_reader(path, registry)]
        if left:
            log.warning("%s: left out, without a reader: %s", folder, kinds_of(left))
    texts = [path for path in files if path.suffix and not has_reader(path, registry)]
    if texts:
        log.warning("read as texts, one document each, without a reader: %s", kinds_of(texts))


def stamp(path: Path) -> tuple[int, ...]:
    """What changes with a file."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def each(paths: Paths) -> tuple[Path, ...]:
    """Paths as several."""
    return (paths,) if isinstance(paths, Path) else paths


def _of(path: Path, registry: Registry) -> Iterator[Path]:
    pattern = str(path)
    if path.is_file():  # also where its name looks like a pattern
        yield path
    elif path.is_dir():
        every = list(_within(path))
        files = [file for file in every if has_reader(file, registry)]
        if not files:
            there = f"; there are {kinds_of(every)}" if every else ""
            raise DataError(f"{path}: holds no file that has a reader{there}")
        yield from files
    elif not glob.has_magic(pattern):
        parts = [part for part in path.parts if part.startswith(("~", "$"))]
        hint = f"; {parts[0]!r} in it is not replaced" if parts else ""
        raise DataError(f"{path}: no such file; expected a file, folder or pattern of files{hint}")
    else:
        # Path.glob refuses absolute patterns.
        matches = map(Path, sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207
        files = [match for match in matches if match.is_file()]
        if not files:
            raise DataError(f"{path}: no file matches this pattern")
        yield from files


def _within(folder: Path) -> list[Path]:
    """Every file of a folder and of those in it that is not hidden, sorted.

    Links to folders are not followed, for they may lead in a circle.
    """
    files = [Path(top) / name for top, _, names in os.walk(folder) for name in names]
    shown = [file for file in files if not hidden(file.relative_to(folder))]
    return sorted(file for file in shown if file.is_file())
