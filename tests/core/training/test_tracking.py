"""Several trackers record a run as one."""

from __future__ import annotations

import json

import pytest
from attrs import field, frozen

from aios_core.contracts.tracker import Tracker, Tracking
from aios_core.training.tracking import Trackings
from aios_core.training.trainer import train


@frozen
class Noting(Tracker):
    """Notes each call, and fails where it is asked to."""

    name: str
    notes: list = field(eq=False)
    fails: tuple = ()

    def start(self, folder, config, *, step=0):
        self.note("start", step)
        return NotingTracking(self)

    def note(self, what, *more):
        self.notes.append((self.name, what, *more))
        if what in self.fails:
            raise OSError(self.name)


@frozen
class NotingTracking(Tracking):
    by: Noting

    def log(self, values, step):
        self.by.note("log", step, dict(values))

    def finish(self):
        self.by.note("finish")


def test_each_hears_everything(tmp_path):
    notes = []
    trackings = Trackings([Noting("a", notes), Noting("b", notes)], tmp_path, {}, step=3)
    trackings.log({"loss": 1.0}, 4)
    trackings.finish()

    for name in "ab":
        assert [("start", 3), ("log", 4, {"loss": 1.0}), ("finish",)] == [
            note[1:] for note in notes if note[0] == name
        ]


def test_one_that_fails_at_the_start_leaves_none_open(tmp_path):
    notes = []
    with pytest.raises(OSError, match="b"):
        Trackings([Noting("a", notes), Noting("b", notes, ("start",))], tmp_path, {}, step=0)

    assert [("a", "start", 0), ("b", "start", 0), ("a", "finish")] == notes


@pytest.mark.parametrize("failing", ["a", "b"])
def test_each_is_finished_whatever_another_does(tmp_path, failing):
    notes = []
    trackers = [Noting(name, notes, ("finish",) if name == failing else ()) for name in "ab"]
    with pytest.raises(OSError, match=failing):
        Trackings(trackers, tmp_path, {}, step=0).finish()

    assert {("a", "finish"), ("b", "finish")} <= set(notes)


def test_a_run_is_recorded_by_all_that_are_configured(tiny, tmp_path):
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    several = tiny("trackers=[{type='jsonl'}, {type='tensorboard'}]", "training.log_every=2")
    train(several, tmp_path, progress=False)
    lines = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()

    expected = {line["step"]: pytest.approx(line["loss"]) for line in lines}
    assert expected == {event.step: event.value for event in events.Scalars("loss")}
    assert [2, 4, 6] == list(expected)


def test_no_tracker_is_a_choice_too(tiny, tmp_path):
    train(tiny("trackers=[]"), tmp_path, progress=False)

    assert not (tmp_path / "metrics.jsonl").exists()
