"""The network that a run stands for: as it was trained, or a version that a history keeps.

A history keeps its versions in the folder ``evolution/`` of a run, and the file ``history`` there
holds its registry name. A run that has versions which no installed history reads cannot be used
but as it was trained, and only where that is asked for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from aios_core.component import blamed
from aios_core.errors import AIOSError, EvolutionError, PluginError
from aios_core.files import replace_text

if TYPE_CHECKING:
    from aios_core.contracts import History
    from aios_core.diffusion.model import Model
    from aios_core.training.checkpoint import Checkpoint

_FOLDER: Final = "evolution"
_KEEPER: Final = "history"
_FIRST: Final = "journal"
"""What keeps a folder that names no history: those of earlier versions name none."""
_LONGEST: Final = 200
"""Characters of a name of a history; a longer one is something else."""


def claim(run: Path, name: str) -> Path:
    """The folder of a run in which a history keeps its versions, made where it is missing.

    Args:
        run: its folder.
        name: of the history, which the folder says from now on.

    Raises:
        EvolutionError: another history keeps versions of the run, or the disk refuses.
    """
    folder, there = run / _FOLDER, keeper(run)
    if there not in {None, name}:
        raise EvolutionError(
            f"{folder}: its versions are kept by the history {there!r:.80}; expected {name!r}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _KEEPER).exists():
            replace_text(folder / _KEEPER, f"{name}\n")
    except OSError as error:
        raise EvolutionError(f"{folder}: cannot be written: {error.strerror}") from error
    return folder


def keeper(run: Path) -> str | None:
    """Registry name of the history that keeps versions of a run; None: there are none.

    Raises:
        EvolutionError: what says so cannot be read.
    """
    folder = run / _FOLDER
    if not os.path.lexists(folder):
        return None
    try:
        if not any(not path.name.startswith(".") for path in folder.iterdir()):
            return None
        with (folder / _KEEPER).open(encoding="utf-8") as file:
            name = file.read(_LONGEST + 1).strip()
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise EvolutionError(f"{folder}: expected a folder, got a link to nothing") from error
        return _FIRST
    except (OSError, UnicodeDecodeError) as error:
        raise EvolutionError(f"{folder}: cannot be read: {error}") from error
    if not name or len(name) > _LONGEST:
        raise EvolutionError(
            f"{folder / _KEEPER}: expected the name of a history, got {name!r:.80}"
        )
    return name


def history(trained: Checkpoint) -> History | None:
    """What keeps the versions of a run; None: it has none.

    Raises:
        EvolutionError: it has some, which no installed plugin reads; the message names what could.
    """
    name = keeper(trained.run_folder)
    if name is None:
        return None
    try:
        cls = trained.resolved.registry.get("history", name).load()
        with blamed(cls, "__init__"):
            made: History = cls()
    except PluginError as error:
        raise EvolutionError(
            f"{trained.run_folder / _FOLDER}: the run has versions that the history {name!r} "
            f"keeps, and that cannot be used: {error}\nExpected the plugin that offers it; without "
            "it `aios evaluate --base` measures the model as it was trained"
        ) from error
    return made


def find(trained: Checkpoint, name: str | None = None) -> str | None:
    """Id of the version of a run that a name stands for; None: the network as it was trained.

    Args:
        trained: the run.
        name: as the history of the run knows it; ``"base"``: as it was trained; None: the head.

    Raises:
        EvolutionError: there is no such version, or no installed plugin reads them.
    """
    there = history(trained)
    if there is not None:
        with blamed(there, "find"):
            return there.find(trained.run_folder, name)
    if name in {None, "base", "HEAD"}:
        return None
    raise EvolutionError(
        f"{trained.run_folder}: expected 'base', for the run has no versions, got {name!r:.80}"
    )


def at(trained: Checkpoint, version: str | None) -> Model:
    """The network of a run as it was at a version, in evaluation mode.

    Args:
        trained: as it was trained.
        version: its id, from `find`; None: as it was trained.

    Raises:
        EvolutionError: it is missing or damaged, or made for another network.
    """
    if version is None:
        return trained.model
    there = history(trained)
    if there is None:
        raise EvolutionError(f"{trained.run_folder}: has no version {version!r:.80}")
    with blamed(there, "at"):
        return cast("Model", there.at(trained, version))


def faults(trained: Checkpoint) -> list[str]:
    """What is wrong with the versions of a run; nothing is repaired."""
    try:
        there = history(trained)
        if there is None:
            return []
        with blamed(there, "faults"):
            return list(there.faults(trained))
    except AIOSError as error:
        return [str(error)]
