"""Writing that is whole or absent: whatever stops the process, no reader sees half a file."""

from __future__ import annotations

import atexit
import errno
import fcntl
import hashlib
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """``$AIOS_CACHE``, else ``$XDG_CACHE_HOME/aios``, else ``~/.cache/aios``.

    Where that cannot be written, as in many containers, it is a folder that goes with this
    process, which is logged once.
    """
    try:
        folder = _named_cache()
    except RuntimeError:  # nobody knows where this user is at home
        return _stand_in(Path("~/.cache/aios"))
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    usable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return folder if usable else _stand_in(folder)


def _named_cache() -> Path:
    if own := os.environ.get("AIOS_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aios"


@cache
def _stand_in(folder: Path) -> Path:
    log.warning(
        "%s: cannot be written, so nothing is cached; AIOS_CACHE names another folder", folder
    )
    temporary = Path(tempfile.mkdtemp(prefix="aios-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return temporary


def no_file(path: Path) -> str | None:
    """Why a path cannot be read as a file, as in ``"is a folder"``; None where it can be."""
    if path.is_dir():
        return "is a folder"
    return None if path.exists() else "no such file"


@contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """A folder of our own beside a target, for what shall become the target; gone afterwards.

    What killed processes left beside the target is removed first: a scratch folder is locked as
    long as its process lives.

    Args:
        target: its folder must be there.

    Yields:
        The folder.
    """
    sweep(target.parent)
    folder, descriptor = _made(target)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


_SCRATCH: Final = ".part"

_TRIES: Final = 16


def _made(target: Path) -> tuple[Path, int | None]:
    """A new scratch folder, and what holds it; nothing does on a file system without locks.

    A `sweep` elsewhere may lock and remove the folder in the moment before it is locked here, and
    a folder that is still there may be about to go: then another name is tried.
    """
    for _ in range(_TRIES):
        folder = target.with_name(f".{target.name[:64]}.{secrets.token_hex(4)}{_SCRATCH}")
        folder.mkdir()
        try:
            descriptor = _lock(folder)
        except (BlockingIOError, FileNotFoundError):
            continue
        except OSError:  # no locks on this file system, so no sweep can hold the folder
            return folder, None
        if descriptor is not None:
            return folder, descriptor
    raise FileExistsError(
        errno.EEXIST, f"{_TRIES} scratch folders were removed by other processes", str(target)
    )


def sweep(parent: Path) -> None:
    """Remove what killed processes left in a folder: scratch folders that nobody holds."""
    for folder in parent.glob(f".*.????????{_SCRATCH}"):
        with suppress(OSError):  # held, gone, or on a file system without locks
            if (descriptor := _lock(folder)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(descriptor)


def _lock(folder: Path) -> int | None:
    """A descriptor that holds a folder for this process; None where the folder was replaced.

    Raises:
        BlockingIOError: another process holds it.
        FileNotFoundError: it is gone.
        OSError: it cannot be locked.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(folder.stat(), os.fstat(descriptor)):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


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
    with scratch(target) as beside:
        temporary = beside / target.name
        temporary.mkdir()
        yield temporary
        for path in temporary.rglob("*"):
            _usual_rights(path, beside)
            sync(path)
        sync(temporary)
        try:
            temporary.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        sync(target.parent)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Write a file under a temporary name; it takes its own name when the block ends.

    A reader sees either the old file or the new one. On an exception the old one stays.

    Yields:
        The temporary place, with the same name in a folder beside the target.
    """
    with scratch(target) as beside:
        temporary = beside / target.name
        yield temporary
        settle(temporary, target)
        sync(target.parent)


def settle(temporary: Path, target: Path) -> None:
    """Let a file out of a `scratch` folder take its own name, with the rights of any new file."""
    _usual_rights(temporary, temporary.parent)
    sync(temporary)
    temporary.replace(target)


def _usual_rights(path: Path, made: Path) -> None:
    """Give a file the rights that the umask leaves it, whatever library wrote it.

    Args:
        path: a file, or a folder, which stays as it is.
        made: a folder that was just made, whose rights say what the umask is.
    """
    if path.is_file() and not path.is_symlink():
        path.chmod(made.stat().st_mode & 0o666)


def replace_text(target: Path, text: str) -> None:
    """Write a small file so that a reader sees either the old text or the new."""
    with new_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_folder(target: Path) -> None:
    """Remove a folder; it vanishes under its name at once, so no reader meets half of it.

    Raises:
        NotADirectoryError: something else has its name, which stays.
    """
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target))
    with scratch(target) as beside, suppress(FileNotFoundError):  # another process removed it
        target.rename(beside / target.name)


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
            return f"is truncated or changed: expected {expected.get('bytes')} bytes, got {size}"
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
