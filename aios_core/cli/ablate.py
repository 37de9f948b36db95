"""`aios ablate`: every variant of a configuration, compared."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aios_core.cli.common import (
    config_argument,
    console,
    json_option,
    print_json,
    print_table,
    set_option,
)

if TYPE_CHECKING:
    from aios_core.experiment.plan import Plan, PlannedModel, PlannedTrial
    from aios_core.experiment.results import Results

SHOWN = 5
"""Seeds and trainings of an arm in the plan's table."""


@click.command(name="ablate")
@config_argument
@set_option
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder of the results.  [default: runs/NAME]"
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--force", is_flag=True, help="Delete the stored results, and run everything again.")
@json_option
def command(
    file: Path,
    overrides: tuple[str, ...],
    output: Path | None,
    *,
    dry_run: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Run every variant of a configuration, and compare them.

    The table [ablate] of FILE says what varies. Variants that differ only in how they sample share
    one training. Each result is stored as soon as it is there: the same command does only what is
    missing, also after an interruption. [[reports]] of FILE names the reports; one that needs
    what is not installed is left out, and `aios report` writes it later.

    Exit code 1 if a trial failed; the others are still reported.

    \b
    Examples:
      aios ablate examples/demo.toml --dry-run
      aios ablate examples/demo.toml --output runs/demo
    """  # noqa: D301  # \b is for click
    from aios_core import logs
    from aios_core.experiment.plan import make_plan

    plan = make_plan(file, output, overrides=overrides)
    logs.follow(plan.trials[0].resolved.config.logging)
    if not as_json:
        _print_plan(plan, force=force)
    if dry_run:
        if as_json:
            print_json(_plan_data(plan))
        return
    from aios_core.experiment import write_reports
    from aios_core.experiment.reports import usable

    reports, unusable = usable(plan.trials[0].resolved.config.reports)
    for error in unusable:
        click.echo(f"{error}; the ablation runs without it", err=True)
    results = _run(plan, force=force, quiet=as_json)
    written = write_reports(results, reports)
    failed = [trial for trial in results.trials if trial.status == "failed"]
    if as_json:
        print_json(
            {
                "folder": str(plan.folder),
                "report": str(written[-1]) if written else None,
                "reports": [str(path) for path in written],
                "trials": len(results.trials),
                "failed": {trial.key: trial.result.get("reason") for trial in failed},
            }
        )
    else:
        print_results(results)
        click.echo(f"\n{len(results.trials) - len(failed)} trials done, {len(failed)} failed")
        for trial in failed:
            reason = str(trial.result.get("reason")).partition("\n")[0]
            click.echo(f"  {trial.arm}, seed {trial.seed}: {reason}")
        for path in written:
            click.echo(f"report: {path}")
    sys.exit(1 if failed else 0)


def _run(plan: Plan, *, force: bool, quiet: bool) -> Results:
    """Run it, and say how to go on after Ctrl-C."""
    from aios_core.experiment import run_ablation

    line = shlex.join(["aios", *sys.argv[1:]])
    try:
        return run_ablation(plan, force=force, progress=not quiet, command=line)
    except KeyboardInterrupt:
        click.echo(
            f"stopped; {len(plan.missing_trials())} trials are still to do. What is done is kept, "
            f"and the same command goes on:\n  {line}",
            err=True,
        )
        sys.exit(130)


def _plan_data(plan: Plan) -> dict[str, object]:
    missing = {trial.key for trial in plan.missing_trials()}
    return {
        "folder": str(plan.folder),
        "trainings": len(_trainings(plan.models.values())),
        "trainings_missing": len(_trainings(plan.missing_models())),
        "trials": [
            {
                "key": trial.key,
                "arm": trial.arm,
                "seed": trial.seed,
                "settings": trial.settings,
                "baseline": trial.baseline,
                "training": trial.model.training_key,
                "done": trial.key not in missing,
            }
            for trial in plan.trials
        ],
    }


def _print_plan(plan: Plan, *, force: bool) -> None:
    """What there is to do, arm by arm, and how little of it."""
    missing = {trial.key for trial in plan.missing_trials()}
    trainings = _trainings(plan.models.values())
    twins = sum(model.resolved.config.mode == "ar" for model in trainings.values())
    arms: dict[str, list[PlannedTrial]] = {}
    for trial in plan.trials:
        arms.setdefault(trial.arm, []).append(trial)
    rows = []
    for arm, trials in arms.items():
        done = 0 if force else sum(trial.key not in missing for trial in trials)
        seeds = _few([str(trial.seed) for trial in trials])
        shared = _few(list(dict.fromkeys(trial.model.training_key[:8] for trial in trials)))
        mark = "baseline" if trials[0].baseline else ""
        rows.append((arm, seeds, shared, f"{done} of {len(trials)}", mark))
    print_table(("arm", "seeds", "trainings", "done", ""), rows)
    left = trainings if force else _trainings(plan.missing_models())
    click.echo(
        f"\n{_count(len(plan.trials), 'trial')} in {_count(len(arms), 'arm')}, sharing "
        f"{_count(len(trainings), 'training')}"
        + (f" ({_count(twins, 'autoregressive twin')} among them)" if twins else "")
        + f"; to do: {_count(len(left), 'training')}, "
        f"{_count(len(plan.trials) if force else len(missing), 'trial')}; folder: {plan.folder}"
    )


def _trainings(models: Iterable[PlannedModel]) -> dict[str, PlannedModel]:
    """One network of each training: those that are quantized in several ways share theirs."""
    return {model.training_key: model for model in models}


def _few(names: list[str]) -> str:
    """Names in a cell of a table, the first ones where they are many."""
    if len(names) <= SHOWN:
        return ", ".join(names)
    return ", ".join(names[:SHOWN]) + f", and {len(names) - SHOWN} more"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def print_results(results: Results) -> None:
    """The table of arms: means with 95 % intervals, and cost."""
    from aios_core.experiment.results import NFE
    from aios_core.experiment.statistics import interval

    metrics = list(results.compared)
    rows = []
    for arm in results.arms:
        n = sum(trial.status == "done" for trial in arm.trials)
        cost = arm.summary(NFE)
        cells = [interval(arm.summary(name)) for name in metrics]
        label = f"{arm.label} (baseline)" if arm.baseline else arm.label
        rows.append((label, str(n), f"{cost.mean:.4g}" if cost else "—", *cells))
    reference = [results.reference(name) for name in metrics]
    if any(value is not None for value in reference):
        cells = ["—" if value is None else f"{value:.3f}" for value in reference]
        rows.append(("held-out text", "", "", *cells))
    print_table(("arm", "n", "NFE", *metrics), rows)
    console().print("mean ± half of the 95 % interval over n seeds; one seed has none", style="dim")
    if results.loses_text:
        click.echo("no bits a byte where a tokenizer loses a part of the held-out text")
