"""Writing that is whole or absent: whatever stops the process, no reader sees half a file."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """``$AIOS_CACHE``, else ``$XDG_CACHE_HOME/aios``, else ``~/.cache/aios``."""
    if own := os.environ.get("AIOS_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aios"


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name; it appears under its own name when the block ends.

    If another process was faster, its folder stays and ours is dropped: callers give one name to
    equal contents only. On an exception nothing is left behind.

    Args:
        target: where the folder shall be; its parents are made.

    Yields:
        The temporary folder, beside the target.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        yield temporary
        for path in temporary.rglob("*"):
            sync(path)
        sync(temporary)
        try:
            temporary.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Write a file under a temporary name; it takes its own name when the block ends.

    A reader sees either the old file or the new one. On an exception the old one stays.

    Yields:
        The temporary name, beside the target.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(target)
        sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def replace_text(target: Path, text: str) -> None:
    """Write a small file so that a reader sees either the old text or the new."""
    with new_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_folder(target: Path) -> None:
    """Remove a folder; it vanishes under its name at once, so no reader meets half of it."""
    doomed = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        target.rename(doomed)
    except FileNotFoundError:  # another process removed it
        return
    shutil.rmtree(doomed)


def manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file in a folder, by its name relative to the folder."""
    return {
        path.relative_to(folder).as_posix(): entry(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def entry(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file, for a manifest."""
    return {"bytes": path.stat().st_size, "sha256": _sha256(path)}


def fault(path: Path, expected: Mapping[str, Any]) -> str | None:
    """What is wrong with a file, as in ``"is truncated: ..."``; None where nothing is.

    Args:
        path: the file.
        expected: its entry in a manifest.
    """
    try:
        size = path.stat().st_size
        if size != expected.get("bytes"):
            return f"is truncated or changed: {size} bytes, want {expected.get('bytes')}"
        if _sha256(path) != expected.get("sha256"):
            return "is changed: its SHA-256 is not the one it was written with"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Return when a file, or the names in a folder, would survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
