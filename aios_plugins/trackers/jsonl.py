"""Metrics as JSON lines in the run's folder: readable with anything, complete after a crash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from attrs import frozen

from aios_core.contracts.tracker import Tracker, Tracking


@frozen
class Jsonl(Tracker):
    """Write ``metrics.jsonl``: one object a record, ``{"step": 10, "loss": 2.3, ...}``."""

    def start(self, folder: Path, config: Mapping[str, Any], *, step: int = 0) -> Tracking:
        """Open the file at the end of the record of ``step``, cutting off what follows."""
        path = folder / "metrics.jsonl"
        path.touch()
        file = path.open("r+b")
        end = 0
        for line in file:
            if not _belongs(line, step):
                break
            end += len(line)
        file.seek(end)
        file.truncate()
        return _JsonlTracking(TextIOWrapper(file, encoding="utf-8", line_buffering=True))


def _belongs(line: bytes, step: int) -> bool:
    """Whether a line is whole, and of a step up to ``step``."""
    try:
        record = json.loads(line)
    except ValueError:  # a process was killed while it wrote this line
        return False
    return line.endswith(b"\n") and isinstance(record, dict) and record.get("step", step) <= step


@frozen
class _JsonlTracking(Tracking):
    file: TextIOWrapper

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Append one record; it reaches the operating system before this returns."""
        self.file.write(json.dumps({"step": step, **values}) + "\n")

    def finish(self) -> None:
        """Close the file."""
        self.file.close()
