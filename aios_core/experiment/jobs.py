"""What the executor runs: one training, or one trial, each leaving its result in a file.

A job takes plain data and paths, so that any process that sees the same file system can run it. Its
result is written whole or not at all, so an interrupted ablation goes on where it stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from aios_core.config import Resolved, resolve, write_lock
from aios_core.config.lock import LOCK
from aios_core.experiment.evaluate import Subject, evaluate_model, evaluate_samples
from aios_core.files import replace_text
from aios_core.training import checkpoint
from aios_core.training.corpus import Corpus
from aios_core.training.data import prepare
from aios_core.training.measured import Measured, own
from aios_core.training.trainer import train

if TYPE_CHECKING:
    from aios_core.training.spool import Contents


@frozen
class Job:
    """One training, or one trial."""

    kind: Literal["model", "trial"]
    """Train and measure a network, or sample from one and measure that."""
    values: Mapping[str, Any]
    """The resolved configuration."""
    result: str
    """The JSON file to write; what else is kept goes into its folder."""
    model_folder: str
    """Where the network is, or shall be, trained."""
    contents: Contents
    """What the texts are, as the command has read them."""
    twin: tuple[Mapping[str, Any], str] | None = None
    """Values and folder of the twin, which is trained already."""


def run_job(job: Job) -> float:
    """Run a job.

    Returns:
        Seconds that it took.

    Raises:
        AIOSError: as training and evaluation do.
    """
    began = time.monotonic()
    path, resolved = Path(job.result), resolve(job.values)
    path.parent.mkdir(parents=True, exist_ok=True)
    corpus, folder = Corpus(resolved, job.contents), Path(job.model_folder)
    if job.kind == "model":
        prepared = prepare(resolved, corpus)
        train(resolved, folder, prepared=prepared, progress=False)
        trained = time.monotonic()
        measured = evaluate_model(Subject.load(folder, resolved, measured=Measured.of(prepared)))
        measured["training_seconds"] = trained - began
    else:
        measured = _trial(resolved, folder, job.twin, path.with_name(LOCK), corpus)
    seconds = time.monotonic() - began
    replace_text(path, json.dumps({"status": "done", "seconds": seconds, **measured}))
    return seconds


def _trial(
    resolved: Resolved,
    folder: Path,
    twin: tuple[Mapping[str, Any], str] | None,
    lock: Path,
    corpus: Corpus,
) -> dict[str, Any]:
    trained, judge = checkpoint.load(folder, registry=resolved.registry), None
    texts = own(trained, resolved, corpus)
    if twin is not None:
        values, twin_folder = twin
        judge = Subject.load(Path(twin_folder), resolve(values), measured=texts).model
    measured = evaluate_samples(Subject.of(trained, resolved, measured=texts), judge)
    measured["sampling_seconds"] = measured.pop("seconds")
    write_lock(resolved, lock, data={"fingerprint": trained.state.data})
    return measured
