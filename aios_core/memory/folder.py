"""The files of a store that is held in memory: a manifest, and what it lists.

What is listed is never changed: a new generation is written beside the old one, then the manifest
is replaced, then the old files go. Whatever stops the process, one generation is whole.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from aios_core import files
from aios_core.errors import StorageError

MANIFEST: Final = "STORE.json"
FORMAT: Final = 1
"""Written, and the latest that can be read."""


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

    @classmethod
    def create(cls, path: Path, metric: str) -> Self:
        """Make an empty one, with no file listed."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise StorageError(f"{path} cannot become a store: it is not empty")
            manifest = {"format": FORMAT, "generation": 0, "metric": metric, "files": {}}
            files.replace_text(path / MANIFEST, json.dumps(manifest, indent=2) + "\n")
        except OSError as error:
            raise StorageError(f"{path} cannot become a store: {error.strerror}") from error
        return cls(path, write=True)

    def load(self) -> dict[str, Path]:
        """The files of this generation by the part of their names before the number, checked.

        Raises:
            StorageError: one is missing or not as it was written.
        """
        found = {}
        for name, entry in self.manifest["files"].items():
            path = self.path / name
            inside = path.parent == self.path
            if problem := files.fault(path, entry) if inside else "is outside of its store":
                raise StorageError(f"{path} {problem}")
            found[name.partition(".")[0]] = path
        return found

    def save(self, writers: Mapping[str, Callable[[Path], None]]) -> None:
        """Write the next generation.

        Args:
            writers: name of a part to what writes it to a path.
        """
        generation, old = self.manifest["generation"] + 1, self.manifest["files"]
        entries = {}
        try:
            for part, write in writers.items():
                path = self.path / f"{part}.{generation}"
                write(path)
                files.sync(path)
                entries[path.name] = files.entry(path)
            self.manifest = {**self.manifest, "generation": generation, "files": entries}
            files.replace_text(self.path / MANIFEST, json.dumps(self.manifest, indent=2) + "\n")
            for name in old:
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror}") from error

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(entry["bytes"] for entry in self.manifest["files"].values())

    def close(self) -> None:
        """Let the next writer in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _read(self) -> dict[str, Any]:
        path = self.path / MANIFEST
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            newer = manifest["format"] > FORMAT
            sound = newer or (
                isinstance(manifest["generation"], int)
                and manifest["metric"] in ("cosine", "dot", "l2")
                and all(isinstance(one, dict) for one in manifest["files"].values())
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
