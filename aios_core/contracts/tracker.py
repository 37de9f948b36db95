"""Trackers: where the course of a training is recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Tracker(ABC):
    """Receives the metrics of a run. The verbs are those of the trackers that people know."""

    @abstractmethod
    def start(self, folder: Path, config: Mapping[str, Any], *, step: int = 0) -> Tracking:
        """Begin, or go on with, the run that lives in ``folder``.

        Args:
            folder: an existing folder of the run's own.
            config: the resolved configuration as plain data.
            step: last step that is part of the run; what an interrupted process recorded of
                later steps is void and must not be shown, because they are trained again.
        """


class Tracking(ABC):
    """One run that is being tracked."""

    @abstractmethod
    def log(self, values: Mapping[str, float], step: int) -> None:
        """Record values at a step; steps come in increasing order."""

    @abstractmethod
    def finish(self) -> None:
        """Flush and close; called once, also after an error."""
