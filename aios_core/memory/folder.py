"""The files of a store that is held in memory: a manifest, and what it lists.

What is listed is never changed: a new generation is written beside the old one, then the manifest
is replaced, then the old files go. Whatever stops the process, one generation is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from aios_core import files
from aios_core.errors import StorageError

MANIFEST: Final = "STORE.json"
FORMAT: Final = 1
"""Written, and the latest that can be read."""

_OURS: Final = re.compile(rf"LOCK|[A-Za-z]\w*\.\d+|\.{MANIFEST}\.[0-9a-f]{{8}}(\.part)?")
"""What a writer leaves when it is killed before the manifest lists it; ``.part`` are folders."""

_Answer = TypeVar("_Answer")


class Folder:
    """A folder that is open, for writing by at most one process.

    Args:
        path: of the folder.
        write: whether to take the lock, which dies with the process.

    Raises:
        StorageError: there is no store, it is of a newer version, or another process writes to it.
    """

    def __init__(self, path: Path, *, write: bool) -> None:
        self.path, self._lock = path, None
        self.manifest = self._read()
        if write:
            self._lock = _lock(path)
            self.manifest = self._read()  # what the last writer left
            self._tidy()

    @classmethod
    def create(cls, path: Path, metric: str) -> Self:
        """Begin one; it is a store from the first `save` on, and nothing before that.

        Raises:
            StorageError: the folder holds anything else than what a killed writer left before.
        """
        self = cls.__new__(cls)
        self.path, self._lock = path, None
        self.manifest = {"format": FORMAT, "generation": 0, "metric": metric, "files": {}}
        _check_free(path)  # before the lock, which leaves a file
        self._lock = _lock(path)
        try:
            _check_free(path)
        except StorageError:
            self.close()
            raise
        self._tidy()
        return self

    def read(self, use: Callable[[dict[str, Path]], _Answer]) -> _Answer:
        """What is made of the files of one generation, which a writer may replace meanwhile.

        Args:
            use: gets what `load` returns.

        Raises:
            StorageError: a file is missing or damaged, and no newer generation is there.
        """
        for _ in range(100):
            try:
                return use(self.load())
            except (
                Exception
            ) as error:  # a file may go at any time, whatever an index's library says
                before, self.manifest = self.manifest, self._read()
                if self.manifest == before:
                    if isinstance(error, OSError):
                        raise StorageError(f"{self.path} cannot be read: {error}") from error
                    raise
        return use(self.load())

    def load(self) -> dict[str, Path]:
        """The files of this generation by the part of their names before the number, checked.

        Raises:
            StorageError: one is missing or not as it was written.
        """
        manifests = {}
        for name, entry in self.manifest["files"].items():
            path = self.path / name
            inside = path.parent == self.path
            if problem := files.fault(path, entry) if inside else "is outside of its store":
                raise StorageError(f"{path} {problem}")
            manifests[name.partition(".")[0]] = path
        if "rows" not in manifests:
            listed = ", ".join(manifests) or "none"
            raise StorageError(f"{self.path / MANIFEST}: expected a file of rows, got {listed}")
        return manifests

    def save(self, writers: Mapping[str, Callable[[Path], None]]) -> None:
        """Write the next generation.

        Args:
            writers: name of a part to what writes it to a path.
        """
        generation, entries = self.manifest["generation"] + 1, {}
        try:
            for part, write in writers.items():
                path = self.path / f"{part}.{generation}"
                write(path)
                files.sync(path)
                entries[path.name] = files.entry(path)
            manifest = {**self.manifest, "generation": generation, "files": entries}
            files.replace_text(self.path / MANIFEST, json.dumps(manifest, indent=2) + "\n")
            self.manifest = manifest
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be written: {error.strerror or error}"
            ) from error
        finally:
            self._tidy()

    def newer(self) -> bool:
        """Whether the manifest on disk is another one than the one that was read.

        Raises:
            StorageError: it cannot be read.
        """
        return self._read() != self.manifest

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(entry["bytes"] for entry in self.manifest["files"].values())

    def close(self) -> None:
        """Let the next writer in, also where forked processes have the lock's descriptor."""
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self.abandon()

    def abandon(self) -> None:
        """In a forked process: let the lock end with the process that took it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _tidy(self) -> None:
        """Remove what the manifest on disk does not list; what cannot be is tried again later."""
        with contextlib.suppress(StorageError, OSError):
            files.sweep(self.path)
            listed = self._read()["files"] if (self.path / MANIFEST).exists() else {}
            for path in self.path.iterdir():
                if path.name in (*listed, "LOCK") or path.is_dir():
                    continue
                if _OURS.fullmatch(path.name):
                    path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        path = self.path / MANIFEST
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            newer = manifest["format"] > FORMAT
            sound = newer or (
                isinstance(manifest["generation"], int)
                and manifest["metric"] in ("cosine", "dot", "l2")
                and all(isinstance(entry, dict) for entry in manifest["files"].values())
            )
        except (FileNotFoundError, NotADirectoryError):
            raise StorageError(f"{self.path} is not a store: it has no {MANIFEST}") from None
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            sound = newer = False
        if not sound:
            raise StorageError(f"{path} is damaged: it is not what a store writes")
        if newer:
            raise StorageError(
                f"{path} has format {manifest['format']}; this version knows formats up to {FORMAT}"
            )
        return manifest  # type: ignore[no-any-return]


def _check_free(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        names = {file.name for file in path.iterdir()}
        if names and not ("LOCK" in names and all(map(_OURS.fullmatch, names))):
            raise StorageError(f"{path} cannot become a store: it is not empty")
    except OSError as error:
        raise StorageError(f"{path} cannot become a store: {error.strerror}") from error


def _lock(path: Path) -> int:
    try:
        descriptor = os.open(path / "LOCK", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StorageError(
            f"{path} is being written by another process; open it for reading, or wait"
        ) from None
    return descriptor
