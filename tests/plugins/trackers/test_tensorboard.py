"""Event files, read back by TensorBoard's own reader."""

from __future__ import annotations

import json
import sys
import time

import pytest

from aios_core.errors import MissingExtraError
from aios_plugins.trackers.tensorboard import TensorBoard

pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {
        name: [(event.step, round(event.value, 6)) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def text(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    (event, *_) = events.Tensors("config/text_summary")
    return event.tensor_proto.string_val[0].decode()


def test_every_value_is_read_back_at_its_step(tmp_path):
    tracking = TensorBoard().start(tmp_path, {"seed": 3, "noise": {"type": "cosine"}})
    tracking.log({"loss": 2.5, "learning_rate": 0.25}, step=10)
    tracking.log({"loss": 1.5}, step=20)
    tracking.finish()

    assert {"loss": [(10, 2.5), (20, 1.5)], "learning_rate": [(10, 0.25)]} == scalars(tmp_path)
    assert {"seed": 3, "noise": {"type": "cosine"}} == json.loads(text(tmp_path))


@pytest.mark.parametrize("saved", [0, 20])
def test_steps_that_are_trained_again_are_shown_once(tmp_path, saved):
    first = TensorBoard().start(tmp_path, {})
    for step in (10, 20, 30, 40):
        first.log({"loss": 1.0}, step=step)
    first.finish()
    # Event files are read in the order of their names, which begin with the second of their start.
    started = int(time.time())
    while int(time.time()) == started:
        time.sleep(0.05)
    again = TensorBoard().start(tmp_path, {}, step=saved)
    again.log({"loss": 0.5}, step=30)
    again.finish()

    kept = [(step, 1.0) for step in (10, 20) if step <= saved]
    assert [*kept, (30, 0.5)] == scalars(tmp_path)["loss"]


def test_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)

    with pytest.raises(MissingExtraError, match=r"ai-os-diffusion\[tensorboard\]"):
        TensorBoard().start(tmp_path, {})
