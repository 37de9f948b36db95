"""What every tracker must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from aios_core.testing.contracts.base import Contract

if TYPE_CHECKING:
    from pathlib import Path

    from aios_core.contracts import Tracker

_CONFIG = {"name": "run", "seed": 0, "training": {"steps": 3}}


class TrackerContract(Contract["Tracker"]):
    """Subclass it and set ``component``: a tracker's class, or one that is built."""

    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A tracker of a service talks to nobody, as that of Weights & Biases where this is set."""
        monkeypatch.setenv("WANDB_MODE", "offline")

    varied: ClassVar = {"test_records_a_run": {}, "test_may_end_without_a_record": {}}

    def test_records_a_run(self, instance: Tracker, tmp_path: Path) -> None:
        """A run from its start to its end, with other values at other steps."""
        tracking = instance.start(tmp_path, _CONFIG)
        tracking.log({"loss": 2.0, "learning_rate": 1e-3}, step=1)
        tracking.log({"loss": 1.5}, step=2)
        tracking.finish()

    def test_goes_on_with_an_interrupted_run(self, instance: Tracker, tmp_path: Path) -> None:
        """Steps after the last one that was saved are recorded again."""
        tracking = instance.start(tmp_path, _CONFIG)
        for step in (1, 2):
            tracking.log({"loss": 2.0}, step=step)
        tracking.finish()
        tracking = instance.start(tmp_path, _CONFIG, step=1)
        tracking.log({"loss": 1.5}, step=2)
        tracking.finish()

    def test_may_end_without_a_record(self, instance: Tracker, tmp_path: Path) -> None:
        """A run that fails at once is finished, too."""
        instance.start(tmp_path, _CONFIG).finish()

    def test_runs_do_not_mix(self, instance: Tracker, tmp_path: Path) -> None:
        """Two runs, in two folders, may be tracked at once."""
        folders = [tmp_path / "a", tmp_path / "b"]
        for folder in folders:
            folder.mkdir()
        tracked = [instance.start(folder, _CONFIG) for folder in folders]
        for tracking in tracked:
            tracking.log({"loss": 1.0}, step=1)
        for tracking in tracked:
            tracking.finish()
