"""Runs what a plan lacks, and keeps every outcome on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from aios_core.errors import AIOSError
from aios_core.experiment.jobs import Job, run_job
from aios_core.experiment.plan import ONLY, dataset_of, labeller
from aios_core.experiment.results import ABOUT, of_training
from aios_core.files import remove_folder, replace_text
from aios_core.training.data import check_sampling, prepare

if TYPE_CHECKING:
    from aios_core.contracts import TrainedTokenizer
    from aios_core.experiment.plan import Plan, PlannedModel, PlannedTrial
    from aios_core.training.spool import Contents


@frozen
class Event:
    """Something that happened to a job."""

    kind: Literal["model", "trial"]
    key: str
    label: str
    what: Literal["started", "done", "failed"]
    reason: str | None = None
    """Why it failed."""


def forget(plan: Plan) -> None:
    """Remove what is stored of the plan's trainings and trials."""
    folders = {plan.model_folder(model) for model in plan.models.values()}
    folders |= {plan.trial_result(trial).parent for trial in plan.trials}
    for folder in folders:
        if folder.exists():
            remove_folder(folder)
    (plan.folder / ABOUT).unlink(missing_ok=True)


def run(plan: Plan, tell: Callable[[Event], None]) -> None:
    """Train, sample and measure whatever has no result yet; each trial as soon as it can.

    Args:
        plan: what to do, and where.
        tell: called when a job starts and when it ends.

    Raises:
        KeyboardInterrupt: after running jobs had time to save their work.
    """
    models = {model.key: model for model in plan.missing_models()}
    trials = {trial.key: trial for trial in plan.missing_trials()}
    jobs = {key: _model_job(plan, model) for key, model in models.items()}
    jobs |= {key: _trial_job(plan, trial) for key, trial in trials.items()}
    after = _in_turn(models) | {
        key: [need.key for need in (trial.model, trial.twin) if need]
        for key, trial in trials.items()
    }
    labels = _names(plan, models)
    labels |= {key: f"{trial.arm} · seed {trial.seed}" for key, trial in trials.items()}

    def event(key: str, what: Literal["started", "done", "failed"], reason: str | None) -> None:
        tell(Event("model" if key in models else "trial", key, labels[key], what, reason))

    if not jobs:
        return
    _tokenize(plan, [*models.values(), *trials.values()])
    executor = plan.trials[0].resolved.config.executor
    failed: dict[str, str] = {}
    outcomes: Generator[Any, None, None] = executor.run(
        run_job,
        {key: (job,) for key, job in jobs.items()},
        after=after,
        started=lambda key: event(key, "started", None),
    )
    with closing(outcomes):
        for outcome in outcomes:
            if outcome.error is None:
                event(outcome.key, "done", None)
                continue
            cause = next((need for need in after.get(outcome.key, ()) if need in failed), None)
            reason = f"{labels[cause]} failed: {failed[cause]}" if cause else outcome.error
            failed[outcome.key] = reason
            _store_failure(Path(jobs[outcome.key].result), reason)
            event(outcome.key, "failed", reason)


def _model_job(plan: Plan, model: PlannedModel) -> Job:
    result, folder = plan.model_result(model), plan.model_folder(model)
    return Job("model", model.resolved.values, str(result), str(folder), _contents(plan, model))


def _trial_job(plan: Plan, trial: PlannedTrial) -> Job:
    twin = (trial.twin.resolved.values, str(plan.model_folder(trial.twin))) if trial.twin else None
    result, folder = plan.trial_result(trial), plan.model_folder(trial.model)
    texts = _contents(plan, trial)
    return Job("trial", trial.resolved.values, str(result), str(folder), texts, twin)


def _contents(plan: Plan, of: PlannedModel | PlannedTrial) -> Contents:
    """What the texts of a job are, so that no job reads them for that again."""
    return plan.corpora[dataset_of(of.resolved)].known


def _tokenize(plan: Plan, jobs: Iterable[PlannedModel | PlannedTrial]) -> None:
    """Make all tokens, which jobs then take from the cache.

    Raises:
        ConfigError: a trial would sample what is not a token.
    """
    seen: dict[tuple[str, str], TrainedTokenizer | None] = {}
    for job in jobs:
        dataset, values = dataset_of(job.resolved), job.resolved.values
        place = dataset, json.dumps(values["tokenizer"], sort_keys=True, default=str)
        if place not in seen:
            seen[place] = None
            with suppress(AIOSError):  # a job that meets it says so, and the others go on
                seen[place] = prepare(job.resolved, plan.corpora[dataset]).tokenizer
        if (tokenizer := seen[place]) is not None:
            check_sampling(job.resolved.config, tokenizer)
    for corpus in plan.corpora.values():
        corpus.release()


def _in_turn(models: dict[str, PlannedModel]) -> dict[str, list[str]]:
    """Networks of one training that are measured in several ways are trained by the first."""
    first: dict[str, str] = {}
    after = {}
    for key, model in models.items():
        if model.training_key in first:
            after[key] = [first[model.training_key]]
        first[model.training_key] = key
    return after


def _names(plan: Plan, models: dict[str, PlannedModel]) -> dict[str, str]:
    """What trainings are called: by the settings that tell them apart, as arms are."""
    twins = {key: model.resolved.config.mode == "ar" for key, model in models.items()}
    settings = {key: of_training(plan, key, twin=twins[key]) for key in models}
    labels = {
        kind: labeller([settings[k] for k in models if twins[k] is kind]) for kind in (False, True)
    }

    def name(key: str, model: PlannedModel) -> str:
        own = labels[twins[key]](settings[key]) if settings[key] else ""
        if twins[key]:
            own = "the twin" if own in ("", ONLY) else f"the twin of {own}"
        elif not own:
            own = str(model.resolved.values["noise"]["type"])
        return f"training {own} · seed {model.resolved.config.seed}"

    return {key: name(key, model) for key, model in models.items()}


def _store_failure(result: Path, reason: str) -> None:
    result.parent.mkdir(parents=True, exist_ok=True)
    replace_text(result, json.dumps({"status": "failed", "reason": reason}))
