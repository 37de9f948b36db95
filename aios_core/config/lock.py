"""``run.lock.toml``: what a run was, in full; loading it again repeats the run.

It is the resolved configuration, every default written out, and a table ``[lock]`` with what the
values do not say: versions of plugins and libraries, the state of the working directory, the data,
and a hash that tells whether someone edited the values since. Paths are relative to the file, so
that a project may be moved or copied as a whole.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import subprocess
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aios_core
from aios_core.config.keys import DISTRIBUTION, canonical
from aios_core.errors import ConfigError

if TYPE_CHECKING:
    from aios_core.config.document import Node
    from aios_core.config.lines import KeyPath
    from aios_core.config.resolve import Resolved
    from aios_core.registry import Component

logger = logging.getLogger(__name__)

LIBRARIES: Final = (DISTRIBUTION, "numpy", "pyarrow", "torch")
"""Distributions whose version is recorded besides those of plugins."""

LOCK: Final = "run.lock.toml"
"""Of a run, in its folder."""

_HEAD: Final = "# What this run was. `aios run` on this file repeats it.\n\n"


def write_lock(resolved: Resolved, path: Path, *, data: Mapping[str, Any]) -> None:
    """Write the lock file of a run, whole or not at all.

    Args:
        resolved: the run.
        path: the file, as a rule ``run.lock.toml`` in the folder of the run.
        data: what identifies the data, as in ``{"fingerprint": "..."}``; plain values.

    Raises:
        OSError: the file cannot be written.
    """
    import tomli_w

    from aios_core.files import replace_text

    values = _relative(resolved, path.absolute().parent)
    lock: dict[str, Any] = {
        "sha256": "0" * 64,
        "seed": resolved.config.seed,
        "data": dict(data),
        "versions": {"python": platform.python_version(), **library_versions()},
        "components": {component.key: _record(component) for component in resolved.components},
    }
    git = _git()
    if git is not None:
        lock["git"] = git
    text = _HEAD + tomli_w.dumps({**values, "lock": lock})
    replace_text(path, text.replace(_UNSEALED, f'[lock]\nsha256 = "{_seal(text)}"', 1))


def locked_tokenizer(path: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of each file of the tokenizer, of a lock file without a fault."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))["lock"].get("data", {})
    tokenizers: dict[str, dict[str, Any]] = data.get("tokenizer", {})
    return tokenizers


def lock_fault(path: Path) -> str | None:
    """What is wrong with the lock file of a run, as in ``"is missing"``; None where nothing is."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        return f"is damaged: byte {error.start} is not UTF-8"
    if not text.strip():
        return "is damaged: it is empty"
    return None if _sealed(text) else "is damaged: its SHA-256 is not the one it was written with"


_UNSEALED: Final = f'[lock]\nsha256 = "{"0" * 64}"'
_SEALED: Final = re.compile(r'^\[lock\]\nsha256 = "([0-9a-f]{64})"$', re.MULTILINE)


def _seal(text: str) -> str:
    """Hex SHA-256 of the text of a lock file that is not sealed."""
    return hashlib.sha256(text.encode()).hexdigest()


def _sealed(text: str) -> bool:
    """Whether every byte is as it was written."""
    place = _SEALED.search(text)
    if place is None:
        return False
    if place[1] == _seal(text[: place.start()] + _UNSEALED + text[place.end() :]):
        return True
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    values.pop("lock", None)
    return place[1] == _hash(values)  # of a version that sealed the values alone


def check_lock(file: Node, resolved: Resolved, *, allow_changes: bool) -> None:
    """Hold what is installed against what a lock file recorded, and say what is different.

    Args:
        file: the lock file as it was read.
        resolved: what it gives here and now, overrides included.
        allow_changes: only log what is different.

    Raises:
        ConfigError: plugins that the run names have another version than they had.
    """
    lock = file.value["lock"]
    recorded = lock.get("components")
    if recorded is None or not isinstance(recorded.value, dict):
        wrong = "damaged: it records no components; delete [lock] to take the values alone"
        raise ConfigError(lock.source.problem(("lock",), wrong))
    problems = []
    for component in sorted(set(resolved.components), key=lambda row: row.key):
        entry, now = recorded.get(component.key), _record(component)
        if entry is not None and entry.plain() != now:
            place = ("lock", "components", component.key)
            wrong = f"the run used {_phrase(entry.plain())}, installed is {_phrase(now)}"
            problems.append(entry.source.problem(place, f"{wrong}; install the former"))
    if problems and not allow_changes:
        raise ConfigError(*(f"{problem}, or say `allow_changes`" for problem in problems))
    for problem in problems:
        logger.warning("%s (allowed)", problem)
    _tell_differences(file, lock)


def _tell_differences(file: Node, lock: Node) -> None:
    """Log what may change a result, though it does not keep the run from being repeated."""
    name = file.source.name
    if lock_fault(Path(name)) is not None:
        logger.warning("%s was edited since its run wrote it", name)
    data = lock.get("data")
    if data is not None and data.get("past") is not None:
        logger.warning(
            "%s: training.steps was changed on the way of that run (lock.data.past), and this one "
            "goes through all of them at once, so it will be another",
            name,
        )
    versions = lock.get("versions")
    then = versions.plain() if versions is not None else {}
    for library, now in library_versions().items():
        if isinstance(then, dict) and then.get(library, now) != now:
            logger.warning("%s: %s was %s, now it is %s", name, library, then[library], now)


def _record(component: Component) -> dict[str, Any]:
    # The registry refuses plugins of another API, so the core's number is the plugin's.
    return {
        "distribution": component.distribution,
        "version": component.version,
        "api": aios_core.API_VERSION,
    }


def _phrase(record: Any) -> str:
    if not isinstance(record, dict):
        return f"{record!r}"
    known = {key: record.get(key, "unknown") for key in ("distribution", "version", "api")}
    return "{distribution} {version} (plugin API {api})".format(**known)


def _hash(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(values)).hexdigest()


def _relative(resolved: Resolved, folder: Path) -> dict[str, Any]:
    """The values with every path relative to a folder."""
    paths = set(resolved.paths)

    def copy(value: Any, key: KeyPath) -> Any:
        if isinstance(value, dict):
            return {name: copy(inner, (*key, name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [copy(inner, (*key, i)) for i, inner in enumerate(value)]
        return os.path.relpath(value, folder) if key in paths else value

    return copy(resolved.values, ())  # type: ignore[no-any-return]  # a table gives a table


def library_versions() -> dict[str, str]:
    """Versions of the libraries that may change a result, by distribution."""
    versions = {}
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[library] = version(library)
    return versions


def _git() -> dict[str, Any] | None:
    """Commit of the working directory and whether files differ from it; None outside of git."""
    commit = _ask_git("rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_ask_git("status", "--porcelain"))}


def _ask_git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603  # fixed words, no shell
            ["git", *arguments],  # noqa: S607  # the user's own git
            capture_output=True,
            check=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
