"""Trackers: who is told how training goes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Tracker(ABC):
    """Receives the metrics of a run. The verbs are those of the trackers that people know."""

    @abstractmethod
    def start(self, folder: Path, config: Mapping[str, Any]) -> Tracking:
        """Begin, or go on with, the run that lives in ``folder``."""


class Tracking(ABC):
    """One run that is being tracked."""

    @abstractmethod
    def log(self, values: Mapping[str, float], step: int) -> None:
        """Record values at a step; steps after it from an earlier, interrupted run are void."""

    @abstractmethod
    def finish(self) -> None:
        """Flush and close; called once, also after an error."""
