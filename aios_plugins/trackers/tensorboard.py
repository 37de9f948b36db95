"""Metrics as event files that TensorBoard shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from aios_core.contracts.tracker import Tracker, Tracking
from aios_core.errors import require_extra

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_SECONDS = 10
"""Longest until what was logged is in the file."""


@frozen
class TensorBoard(Tracker):
    """Write event files into ``tensorboard/`` of the run's folder (extra ``tensorboard``).

    ``tensorboard --logdir runs`` shows them. Of a run that goes on from a checkpoint, the files
    hold the steps after it twice, and TensorBoard shows the later ones.
    """

    def start(self, folder: Path, config: Mapping[str, Any], *, step: int = 0) -> Tracking:
        """Begin a file, in which later steps of the earlier ones are called void."""
        require_extra("the tracker 'tensorboard'", "tensorboard", "tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        place = folder / "tensorboard"
        again = any(place.glob("events.out.tfevents.*"))
        writer = SummaryWriter(
            str(place), purge_step=step + 1 if again else None, flush_secs=_SECONDS
        )
        text = json.dumps(dict(config), indent=1, default=str)
        # The four spaces make it a block of code.
        writer.add_text("config", "    " + text.replace("\n", "\n    "), step)
        return _TensorBoardTracking(writer)


@frozen
class _TensorBoardTracking(Tracking):
    writer: SummaryWriter

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Record each value under its name."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def finish(self) -> None:
        """Write what is left, and close the file."""
        self.writer.close()
