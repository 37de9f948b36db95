"""How training shows that it goes on: a bar on a terminal, a few log lines elsewhere."""

from __future__ import annotations

import logging
import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

log = logging.getLogger(__name__)

_LINES = 10
"""Log lines a run, where there is no terminal."""


class TrainingProgress:
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
            TextColumn("{task.fields[loss]}"),
            console=Console(stderr=True),
            disable=not (shown and sys.stderr.isatty()),
        )
        self._task = self._bar.add_task(label, total=steps, completed=done, loss="")

    def advance(self, done: int, loss: float | None) -> None:
        """One more step is done.

        Args:
            done: steps so far.
            loss: in nats a token, where it was averaged just now.
        """
        self._bar.update(self._task, completed=done)
        if loss is None:
            return
        self._bar.update(self._task, loss=f"loss {loss:.3f}")
        tenth = done * _LINES // self._steps
        if self._shown and self._bar.disable and tenth > self._lines:
            self._lines = tenth
            log.info("%s: step %d of %d, loss %.3f", self._label, done, self._steps, loss)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
