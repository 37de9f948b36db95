"""Every file of a run against what was written of it; nothing is repaired or written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from aios_core.config.lock import LOCK, lock_fault, locked_tokenizer
from aios_core.errors import AIOSError, ModelLoadError
from aios_core.experiment.run import RESULTS
from aios_core.files import fault
from aios_core.training import checkpoint, history
from aios_plugins._uncertainty.calibration import NAME, Calibration
from aios_plugins.tensor_formats.parquet.verify import faults as weight_faults

if TYPE_CHECKING:
    from aios_core.registry import Registry


@frozen
class Part:
    """One part of a run, and what is wrong with it."""

    name: str
    """As in ``"checkpoints/step-000500"``; that of a twin begins with ``"twin/"``."""
    faults: tuple[str, ...]
    """Each names its file; none: the part is as it was written."""


def verify_run(folder: Path, *, registry: Registry | None = None) -> Iterator[Part]:
    """Look at each part of a run, its twin included.

    Args:
        folder: of the run.
        registry: where components are looked up; None discovers the installed ones.

    Raises:
        ModelLoadError: the folder holds no run.
    """
    if not (folder / "checkpoints").is_dir():
        raise ModelLoadError(f"{folder}: holds no checkpoint; expected the folder of a run")
    lock = lock_fault(folder / LOCK)
    yield Part(LOCK, () if lock is None else (f"{folder / LOCK}: {lock}",))
    for path in checkpoint.checkpoints(folder):
        yield Part(f"checkpoints/{path.name}", tuple(checkpoint.faults(path)))
    known = {} if lock else locked_tokenizer(folder / LOCK)
    files = [(folder / "tokenizer" / name, entry) for name, entry in known.items()]
    wrong = [(path, fault(path, entry)) for path, entry in files]
    yield Part("tokenizer", tuple(f"{path}: {reason}" for path, reason in wrong if reason))
    trained, unfit = _model(folder, registry)
    yield Part("model", unfit)
    if trained is not None and (folder / "evolution").is_dir():
        yield Part("evolution", tuple(history.faults(trained)))
    for path in _weight_files(folder):
        yield Part(path.name, tuple(map(str, weight_faults(path))))
    if trained is not None and (folder / NAME).exists():
        yield Part(NAME, _calibration(folder / NAME, trained))
    if (folder / RESULTS).exists():
        yield Part(RESULTS, _results(folder / RESULTS))
    if (folder / "twin" / "checkpoints").is_dir():
        for part in verify_run(folder / "twin", registry=registry):
            yield Part(f"twin/{part.name}", part.faults)


def _model(
    folder: Path, registry: Registry | None
) -> tuple[checkpoint.Checkpoint | None, tuple[str, ...]]:
    """The checkpoint that the run stands for, which fits its tokenizer and its configuration."""
    try:
        return checkpoint.load(folder, registry=registry), ()
    except AIOSError as error:
        return None, (str(error),)


def _weight_files(folder: Path) -> list[Path]:
    """Weight files, one for those that are in shards."""
    single = [path for path in folder.glob("*.parquet") if "-of-" not in path.name]
    sharded = folder.glob("*.parquet.index.json")
    return sorted(
        {*single, *(path.with_name(path.name[: -len(".index.json")]) for path in sharded)}
    )


def _calibration(path: Path, trained: checkpoint.Checkpoint) -> tuple[str, ...]:
    try:
        belongs = Calibration.load(path).training_key == trained.state.training_key
    except ModelLoadError as error:
        return (str(error),)
    return () if belongs else (f"{path}: was made for another training than the run's",)


def _results(path: Path) -> tuple[str, ...]:
    try:
        sound = isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except (OSError, ValueError, RecursionError) as error:
        return (f"{path}: cannot be read: {error}",)
    return () if sound else (f"{path}: expected a JSON object",)
