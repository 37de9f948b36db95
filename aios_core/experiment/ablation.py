"""An ablation as one call, which a notebook makes and `aios ablate` makes, too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aios_core.experiment.plan import Plan, make_plan, read_result
from aios_core.experiment.results import ABOUT, Results, read, write_about

if TYPE_CHECKING:
    from aios_core.experiment.ablate import Event
    from aios_core.registry import Registry


def run_ablation(
    source: str | Path | Plan,
    folder: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
    force: bool = False,
    progress: bool = True,
    on_event: Callable[[Event], None] = lambda _: None,
    command: str | None = None,
) -> Results:
    """Run every variant of a configuration, and compare them.

    Usable in a notebook::

        from aios_core.experiment import run_ablation, write_reports

        results = run_ablation("examples/demo.toml", "runs/demo", overrides=["training.steps=200"])
        for arm in results.arms:
            print(arm.label, arm.summary("twin_nll"), results.verdict(arm, "twin_nll"))
        write_reports(results)

    Each result is stored as soon as it is there. The same call does only what is missing: after an
    interruption it goes on, and when all is done it only reads. A trial that failed is tried again;
    ``results.trials`` has the reason of each that fails.

    Args:
        source: a configuration file, usually with ``[ablate]``; or a plan, which holds the three
            arguments after it already.
        folder: of the results; None: under ``runs/``, by the name in the file.
        overrides: ``key=value`` each.
        registry: where components are looked up; None discovers the installed ones.
        force: delete the stored results, and run everything again.
        progress: show bars on stderr, or lines where that is no terminal.
        on_event: called when a job starts and when it ends.
        command: what reports name as the command; None: this function.

    Returns:
        What was found, as `read` gives it at any time; no report is written.

    Raises:
        ConfigError: with all that is wrong, before anything runs.
        DataError: the texts cannot be read.
        KeyboardInterrupt: after running jobs had time to save their work.
    """
    from aios_core.experiment import ablate

    if isinstance(source, Plan):
        plan = source
    else:
        target = None if folder is None else Path(folder)
        plan = make_plan(Path(source), target, overrides=overrides, registry=registry)
    if force:
        ablate.forget(plan)
    with _accounted(plan, command or f"{__package__}.{run_ablation.__name__}"):
        if progress:
            from aios_core.experiment.progress import AblationProgress

            missing = plan.missing_trials()
            done = len({trial.key for trial in plan.trials}) - len(missing)
            with AblationProgress(len(plan.missing_models()), len(missing), done) as shown:

                def both(event: Event) -> None:
                    shown.tell(event)
                    on_event(event)

                ablate.run(plan, both)
        else:
            ablate.run(plan, on_event)
    return read(plan.folder)


@contextmanager
def _accounted(plan: Plan, command: str) -> Iterator[None]:
    """Keep the plan, and the time that all runs of it take."""
    before = read_result(plan.folder / ABOUT)
    now, began = datetime.now().astimezone(), time.monotonic()
    started = datetime.fromisoformat(before["started"]) if "started" in before else now
    spent = before.get("seconds", 0.0)
    write_about(plan, command=command, started=started, seconds=spent)
    idle = not plan.missing_trials()
    try:
        yield
    finally:
        if not idle:
            spent += time.monotonic() - began
            write_about(plan, command=command, started=started, seconds=spent)
