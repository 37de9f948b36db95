"""Several trackers as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aios_core.contracts.tracker import Tracking

if TYPE_CHECKING:
    from aios_core.contracts import Tracker


class Trackings(Tracking):
    """A run that several trackers record.

    Args:
        trackers: each of them, begun in order; where one fails to begin, those before are finished.
        folder: as for `Tracker.start`.
        config: likewise.
        step: likewise.
    """

    def __init__(
        self, trackers: Sequence[Tracker], folder: Path, config: Mapping[str, Any], *, step: int
    ) -> None:
        self._each: list[Tracking] = []
        with ExitStack() as stack:
            for tracker in trackers:
                tracking = tracker.start(folder, config, step=step)
                stack.callback(tracking.finish)
                self._each.append(tracking)
            self._finish = stack.pop_all()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Record with each."""
        for tracking in self._each:
            tracking.log(values, step)

    def finish(self) -> None:
        """Finish each, also where another one fails to."""
        self._finish.close()
