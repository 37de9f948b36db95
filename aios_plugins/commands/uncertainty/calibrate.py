"""Calibrates the uncertainty of a run on its held-out texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from aios_core.errors import DataError
from aios_core.experiment.evaluate import Subject
from aios_core.training import checkpoint
from aios_plugins._uncertainty.calibration import NAME
from aios_plugins._uncertainty.estimators import DEFAULT, estimators
from aios_plugins._uncertainty.estimators import estimator as estimator_of
from aios_plugins.commands.uncertainty.study import study

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import TrainedTokenizer


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
    length = subject.config.diffusion.length
    ids, valid = subject.held_out.windows(length)
    calibration, shown = study(
        subject.model,
        ids[valid.all(-1)],
        estimators(registry),
        training_key=trained.state.training_key,
        windows=windows,
        others=None if against is None else _windows(against, subject.tokenizer, length),
        on_progress=on_progress,
    )
    calibration.save(folder / NAME)
    return shown


def _windows(path: Path, tokenizer: TrainedTokenizer, length: int) -> Tensor:
    """(N, length) int64: the tokens of a file, without the last that fill no window."""
    ids = tokenizer.encode(path.read_text(encoding="utf-8"))
    count = len(ids) // length
    if not count:
        raise DataError(f"{path}: has {len(ids)} tokens; expected at least {length}")
    return torch.from_numpy(ids[: count * length].astype(np.int64)).view(count, length)
