"""How training shows that it goes on: a bar on a terminal, a few log lines elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from aios_core.terminal import Shown

log = logging.getLogger(__name__)

_LINES = 10
"""Log lines a run, where there is no terminal."""

_SAID = {"loss": "loss", "held_out_loss": "held-out"}
"""What is shown of what is measured, by its name there."""


class TrainingProgress(Shown):
    """A context manager around the optimiser's loop.

    Args:
        label: what is being trained.
        steps: of the whole run.
        done: steps that an earlier process did.
        shown: False prints nothing at all.
    """

    def __init__(self, label: str, steps: int, done: int, *, shown: bool) -> None:
        self._label, self._steps, self._shown = label, steps, shown
        self._lines = done * _LINES // steps
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[said]}"),
            console=Console(stderr=True),
            disable=not (shown and sys.stderr.isatty()),
        )
        super().__init__(self._bar)
        self._task = self._bar.add_task(label, total=steps, completed=done, said="")
        self._said: dict[str, str] = {}

    def advance(self, done: int, values: Mapping[str, float]) -> None:
        """One more step is done.

        Args:
            done: steps so far.
            values: what was measured at this step, if anything: ``loss``, averaged since the last
                time, and ``held_out_loss``, both in nats a token.
        """
        self._bar.update(self._task, completed=done)
        if not values:
            return
        self._said |= {
            name: f"{text} {values[name]:.3f}" for name, text in _SAID.items() if name in values
        }
        said = ", ".join(self._said[name] for name in _SAID if name in self._said)
        self._bar.update(self._task, said=said)
        tenth = done * _LINES // self._steps
        if self._shown and self._bar.disable and tenth > self._lines:
            self._lines = tenth
            log.info("%s: step %d of %d, %s", self._label, done, self._steps, said)
