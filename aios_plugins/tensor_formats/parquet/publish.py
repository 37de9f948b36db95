"""How the files of a model take their names: all at once, whatever stops the process.

A reader prefers the index of shards to a single file, and believes what the index names. So each
change is one step that the file system takes whole: the index appears, is replaced, or goes.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

from aios_core.errors import ModelLoadError
from aios_core.files import settle, sync
from aios_plugins.tensor_formats.parquet.file import WeightFile
from aios_plugins.tensor_formats.parquet.layout import PLAIN, digest, index_path, shard_name

_HIDDEN: Final = re.compile(r"\.(.+\.index\.json)\.[0-9a-f]{8}")
"""An index that does not have its name yet."""


def publish(path: Path, files: Sequence[Path], digests: Sequence[str]) -> Path:
    """Give the files of a model their names, in place of what was there.

    Args:
        path: of the model; a single file takes it, several stand beside it.
        files: whole, in a scratch folder.
        digests: what each says of itself.

    Returns:
        The file that opens the model: `path`, or the index of shards.
    """
    index = index_path(path)
    with _alone(path.parent):
        _sweep(path.parent)
        before = named(index)
        if len(files) == 1:
            settle(files[0], path)
            sync(path.parent)  # before the old model goes
            index.unlink(missing_ok=True)
            kept = path
        else:
            names = next(names for names in _names(path, digests) if not _taken(path, names))
            _shards(path, dict(zip(names, files, strict=True)), digests)
            path.unlink(missing_ok=True)
            kept = index
        for name in before.keys() - {path.name}:
            path.with_name(name).unlink(missing_ok=True)
        sync(path.parent)
    return kept


def named(index: Path) -> dict[str, str]:
    """Shards beside an index, with their digests; none where it is no index of ours."""
    try:
        shards = json.loads(index.read_text(encoding="utf-8"))["shards"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    if not isinstance(shards, dict):
        return {}
    return {
        name: shard_digest
        for name, shard_digest in shards.items()
        if name and Path(name).name == name
    }


def _names(path: Path, digests: Sequence[str]) -> Iterator[list[str]]:
    """Names that shards may have, the plainest first."""
    for number in count():
        short = digest(repr((number, *digests)).encode())[:8]
        own = path.with_stem(f"{path.stem}-{short}") if number else path
        yield [shard_name(own, n, len(digests)) for n in range(len(digests))]


def _taken(path: Path, names: Sequence[str]) -> bool:
    return any(os.path.lexists(path.with_name(name)) for name in names)


def _shards(path: Path, files: Mapping[str, Path], digests: Sequence[str]) -> None:
    """Shards, and an index that names them.

    It is there under a hidden name before the first of them, so that whoever finds it after a
    crash knows which files nobody names.
    """
    index = index_path(path)
    text = json.dumps({"format": PLAIN, "shards": dict(zip(files, digests, strict=True))}, indent=1)
    hidden = index.with_name(f".{index.name}.{secrets.token_hex(4)}")
    try:
        with hidden.open("x", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            sync(path.parent)
            for name, temporary in files.items():
                settle(temporary, path.with_name(name))
            sync(path.parent)
            hidden.replace(index)
    except BaseException:
        for name in files:
            path.with_name(name).unlink(missing_ok=True)
        hidden.unlink(missing_ok=True)
        raise


def _sweep(folder: Path) -> None:
    """Remove what writers that were killed left between their first shard and their index."""
    for entry in folder.iterdir():
        hidden = _HIDDEN.fullmatch(entry.name)
        if hidden is None or entry.is_symlink() or not entry.is_file():
            continue
        with entry.open("rb") as file, suppress(BlockingIOError):  # someone is writing it
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            own = named(folder / hidden[1])
            for name, shard_digest in named(entry).items():
                shard = folder / name
                with suppress(ModelLoadError):  # it never had that name
                    if name not in own and WeightFile(shard).digest == shard_digest:
                        shard.unlink()
            entry.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One writer at a time gives names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
