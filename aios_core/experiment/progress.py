"""How an ablation goes, while it goes: bars on a terminal, lines elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from aios_core.terminal import Shown

if TYPE_CHECKING:
    from aios_core.experiment.ablate import Event

_NAMES = {"model": "trainings", "trial": "trials"}


class AblationProgress(Shown):
    """A context manager whose `tell` is for `ablate.run`.

    Args:
        models: trainings to do.
        trials: trials to do.
        done: trials that were done before.
    """

    def __init__(self, models: int, trials: int, done: int) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=self._console,
        )
        super().__init__(self._progress)
        total = {"model": models, "trial": trials + done}
        self._tasks = {
            kind: self._progress.add_task(_NAMES[kind], total=count, state="")
            for kind, count in total.items()
            if count
        }
        self._progress.update(self._tasks["trial"], completed=done)
        self._running: dict[str, dict[str, str]] = {"model": {}, "trial": {}}
        self._failed = {"model": 0, "trial": 0}

    def tell(self, event: Event) -> None:
        """Show what happened."""
        running = self._running[event.kind]
        if event.what == "started":
            running[event.key] = event.label
        else:
            running.pop(event.key, None)
            self._failed[event.kind] += event.what == "failed"
            self._progress.advance(self._tasks[event.kind])
        if event.what == "failed":
            reason = (event.reason or "").partition("\n")[0]
            self._console.print(f"failed: {event.label}: {reason}", markup=False, style="red")
        elif not self.on_terminal:
            self._console.print(f"{event.what}: {event.label}", markup=False, highlight=False)
        self._progress.update(self._tasks[event.kind], state=self._state(event.kind))

    def _state(self, kind: str) -> str:
        running, failed = list(self._running[kind].values()), self._failed[kind]
        parts = [f"{len(running)} running"] if running else []
        if failed:
            parts.append(f"[red]{failed} failed[/red]")
        if kind == "model" and running:
            parts[0] = "; ".join(running)
        return ", ".join(parts)
