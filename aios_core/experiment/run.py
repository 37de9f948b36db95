"""What `aios run` does: a network and its twin, trained and measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aios_core.config import twin
from aios_core.errors import DataError
from aios_core.experiment.evaluate import evaluate_run
from aios_core.files import replace_text
from aios_core.training import initial
from aios_core.training.corpus import Corpus
from aios_core.training.data import Prepared, check_sampling, prepare
from aios_core.training.going_on import check_same
from aios_core.training.trainer import train

if TYPE_CHECKING:
    from aios_core.config import Resolved

RESULTS = "evaluation.json"
"""In the folder of a run."""


def ready(resolved: Resolved, folder: Path, *, data: str | None = None) -> Prepared:
    """The data of a run that can begin, or go on, in a folder; nothing is written there.

    Args:
        resolved: the configuration.
        folder: of the run.
        data: fingerprint that the data must have; None: any.

    Raises:
        ConfigError: ``[sampling]`` names what is not a token.
        TrainingError: the folder holds another run, or the weights to begin with are of other
            tokens.
        ModelLoadError: these weights are damaged.
        DataError: the data cannot be read, or is other data.
    """
    check_same(resolved, folder)
    prepared = prepare(resolved)
    check_sampling(resolved.config, prepared.tokenizer)
    begins = initial.opened(resolved)
    if begins:
        begins.check(resolved, prepared.tokenizer)
    if data is not None and data != initial.data_of(prepared.trained_on(resolved.config), begins):
        what = "the texts, or the tokenizer made from them"
        what += ", or the weights in training.init_from" if begins else ""
        raise DataError(
            f"{Corpus(resolved)}: lock.data: {what}, are not those of the run that wrote the lock "
            "file; expected them as they were, or a --set for a run of its own"
        )
    return prepared


def run(
    resolved: Resolved, folder: Path, prepared: Prepared, *, progress: bool = True
) -> tuple[Path, dict[str, Any]]:
    """Train a network, and the twin that judges its samples; measure both; keep the results.

    Args:
        resolved: the configuration.
        folder: of the run; what was trained there is not trained again.
        prepared: its data.
        progress: show a bar or, where there is no terminal, a few log lines.

    Returns:
        The checkpoint, and what `evaluate_run` gives, which is also in ``evaluation.json``.

    Raises:
        AIOSError: as training and evaluation do.
    """
    config = resolved.config
    saved = train(resolved, folder, prepared=prepared, progress=progress)
    if config.mode == "diffusion" and config.evaluation.twin:
        train(twin(resolved), folder / "twin", prepared=prepared, progress=progress)
    results = evaluate_run(folder, registry=resolved.registry, prepared=prepared)
    replace_text(folder / RESULTS, json.dumps(results, indent=1))
    return saved, results
