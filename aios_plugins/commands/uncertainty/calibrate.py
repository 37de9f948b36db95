"""Calibrates the uncertainty of a run on its held-out texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aios_core.errors import DataError
from aios_core.experiment.evaluate import Subject
from aios_core.training import checkpoint
from aios_plugins._uncertainty.calibration import NAME
from aios_plugins._uncertainty.estimators import DEFAULT, estimators
from aios_plugins._uncertainty.estimators import estimator as estimator_of
from aios_plugins.commands.uncertainty.study import study
from aios_plugins.commands.uncertainty.windows import begin_of, cut, held_out

if TYPE_CHECKING:
    from aios_core.contracts import Sequences
    from aios_core.training.checkpoint import Checkpoint


def calibrate_run(
    folder: Path,
    *,
    against: Path | None = None,
    windows: int = 256,
    estimator: str = DEFAULT,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Calibrate on half of the held-out texts, and measure on the other half.

    Writes ``uncertainty.json``, the calibration, into the folder.

    Args:
        folder: of a run.
        against: a file of texts of another kind; how well errors there are foreseen is measured.
        windows: most texts of each half, and of the others.
        estimator: one that shall be calibrated whatever becomes of the others.
        on_progress: called with a number of texts that were read.

    Returns:
        Plain data: what the report shows.

    Raises:
        InferenceError: the model's uncertainty cannot be measured, or not by the estimator.
        DataError: there are too few held-out texts, or the others cannot be read.
    """
    trained = checkpoint.load(folder)
    registry = trained.resolved.registry
    estimator_of(registry, estimator)
    subject = Subject.of(trained, trained.resolved)
    calibration, shown = study(
        subject.model,
        held_out(subject.held_out),
        estimators(registry),
        training_key=trained.state.training_key,
        windows=windows,
        others=None if against is None else _windows(against, trained),
        on_progress=on_progress,
    )
    calibration.save(folder / NAME)
    return shown


def _windows(path: Path, trained: Checkpoint) -> Sequences:
    """A file as one text, without the last tokens, which fill no window."""
    ids = trained.tokenizer.encode(path.read_text(encoding="utf-8")).tolist()
    begin, length = begin_of(trained), trained.model.length
    if len(begin) + len(ids) < length:
        raise DataError(f"{path}: has {len(ids)} tokens; expected at least {length - len(begin)}")
    windows, _ = cut([ids], length, begin, trained.model.vocabulary)
    return windows[windows.valid.all(-1)]
