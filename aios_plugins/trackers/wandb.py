"""Metrics on Weights & Biases, or in a folder that it takes later."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen, validators

from aios_core.contracts.tracker import Tracker, Tracking
from aios_core.errors import TrainingError, require_extra
from aios_core.files import remove_folder, replace_text

_RECORDS: Final = "aios.jsonl"
"""Beside what wandb writes: the id of its run, and what was logged."""


@frozen
class WandB(Tracker):
    """Log to Weights & Biases (extra ``wandb``); with ``WANDB_MODE=offline`` to ``wandb/`` alone.

    A run there is named after the folder of ours and grouped by its ``name``. What wandb has taken
    cannot be taken back: a run that goes back to an earlier step begins another run there, with all
    that still holds. So it is with every process that goes on offline, in place of the folder of
    the one before; ``wandb sync`` on the newest folder sends everything.
    """

    project: str = field(default="ai-os-diffusion", validator=validators.min_len(1))
    """Where its runs are."""

    def start(self, folder: Path, config: Mapping[str, Any], *, step: int = 0) -> Tracking:
        """Begin a run there, or go on with it.

        Raises:
            MissingExtraError: wandb is not installed.
            TrainingError: it cannot begin, as where nobody is logged in.
        """
        require_extra("the tracker 'wandb'", "wandb", "wandb")
        import wandb

        place = folder / "wandb"
        place.mkdir(exist_ok=True)
        name, records = _read(place / _RECORDS)
        kept = [record for record in records if record["step"] <= step]
        offline = os.environ.get("WANDB_MODE") == "offline"
        replayed = offline or len(kept) < len(records)
        if name is None or replayed:
            if offline:
                for earlier in place.glob("offline-run-*"):
                    remove_folder(earlier)
            name = uuid.uuid4().hex[:8]
        _write(place / _RECORDS, name, kept)
        try:
            run = wandb.init(
                project=self.project,
                dir=str(folder),
                id=name,
                resume="allow",
                group=config.get("name"),
                name=folder.absolute().name,
                config=dict(config),
                reinit="create_new",
                settings=wandb.Settings(console="off"),  # the terminal is ours
            )
        except wandb.Error as error:
            raise TrainingError(
                f"the tracker 'wandb' cannot begin: {error}; expected `wandb login`, or the "
                "variable WANDB_MODE=offline"
            ) from error
        tracking = _WandBTracking(run, place / _RECORDS)
        for record in kept if replayed else ():
            tracking.send(record)
        return tracking


@frozen
class _WandBTracking(Tracking):
    run: Any
    records: Path

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Record, here too, for wandb does not give back what it has taken."""
        record = {"step": step, **values}
        with self.records.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self.send(record)

    def send(self, record: Mapping[str, float]) -> None:
        """Hand a record to wandb."""
        values = {name: value for name, value in record.items() if name != "step"}
        self.run.log(values, step=int(record["step"]))

    def finish(self) -> None:
        """Wait until all is sent, or written."""
        self.run.finish()


def _read(path: Path) -> tuple[str | None, list[dict[str, Any]]]:
    """The id of a run of wandb's, None where there is none, and its whole records."""
    name, records = None, []
    with suppress(FileNotFoundError):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:  # a process was killed while it wrote this line
                break
            if name is None:
                name = str(record.get("id"))
            else:
                records.append(record)
    return name, records


def _write(path: Path, name: str, records: list[dict[str, Any]]) -> None:
    lines = [{"id": name}, *records]
    replace_text(path, "".join(json.dumps(line) + "\n" for line in lines))
