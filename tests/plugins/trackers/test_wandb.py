"""The real library, which writes a folder where it is offline, in messages that it reads back."""

from __future__ import annotations

import json
import struct
import sys
import time

import pytest

from aios_core.errors import MissingExtraError, TrainingError
from aios_plugins.trackers.wandb import WandB

wandb = pytest.importorskip("wandb", reason="the extra wandb is not installed")


def stored(path):
    """The messages of a file of wandb's: LevelDB's log, behind seven bytes of its own."""
    data, place, parts = path.read_bytes(), 7, []
    while place + 7 <= len(data):
        left = 32_768 - place % 32_768
        if left < 7:  # the end of a block, too short for a header
            place += left
            continue
        size, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        parts.append(data[place + 7 : place + 7 + size])
        place += 7 + size
        if kind in {1, 4}:  # whole, or the last part
            yield b"".join(parts)
            parts = []


def sent(folder):
    """What the one offline run in a folder would send: facts of the run, and its records."""
    from wandb.proto import wandb_internal_pb2 as messages

    (place,) = folder.glob("wandb/offline-run-*/*.wandb")
    facts, records, read = None, [], []
    for _ in range(600):  # its service writes what is left when it comes to it
        read = [messages.Record.FromString(data) for data in stored(place)]
        if any(message.HasField("exit") for message in read):
            break
        time.sleep(0.1)
    for message in read:
        if message.WhichOneof("record_type") == "run":
            facts = message.run
        elif message.WhichOneof("record_type") == "history":
            items = message.history.item
            named = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}
            records.append({k: v for k, v in named.items() if k in {"_step", "loss", "rate"}})
    return facts, records


def test_offline_everything_is_in_the_folder(tmp_path):
    config = {"name": "sweep", "seed": 3, "training": {"steps": 9}}
    folder = tmp_path / "arm"
    folder.mkdir()
    tracking = WandB(project="mine").start(folder, config)
    tracking.log({"loss": 2.5, "rate": 0.25}, step=10)
    tracking.log({"loss": 1.5}, step=20)
    tracking.finish()
    facts, records = sent(folder)

    assert [{"_step": 10, "loss": 2.5, "rate": 0.25}, {"_step": 20, "loss": 1.5}] == records
    assert ("mine", "sweep", "arm") == (facts.project, facts.run_group, facts.display_name)
    values = {item.key: json.loads(item.value_json) for item in facts.config.update}
    assert ({"steps": 9}, 3) == (values["training"], values["seed"])


def test_a_run_that_goes_on_is_whole_and_has_no_step_twice(tmp_path):
    first = WandB().start(tmp_path, {})
    for step in (10, 20, 30, 40):
        first.log({"loss": 1.0}, step=step)
    first.finish()
    again = WandB().start(tmp_path, {}, step=20)
    again.log({"loss": 0.5}, step=30)
    again.finish()

    assert [(10, 1.0), (20, 1.0), (30, 0.5)] == [(r["_step"], r["loss"]) for r in sent(tmp_path)[1]]


def test_a_record_that_was_cut_short_is_no_record(tmp_path):
    tracking = WandB().start(tmp_path, {})
    tracking.log({"loss": 1.0}, step=10)
    tracking.finish()
    with (tmp_path / "wandb" / "aios.jsonl").open("a") as file:
        file.write('{"step": 20, "lo')
    again = WandB().start(tmp_path, {}, step=20)
    again.finish()

    assert [{"_step": 10, "loss": 1.0}] == sent(tmp_path)[1]


def test_who_is_not_logged_in_is_shown_the_way(tmp_path, monkeypatch, request):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    wandb.teardown()  # which has read the variables
    request.addfinalizer(wandb.teardown)
    with pytest.raises(TrainingError, match="`wandb login`, or the variable WANDB_MODE=offline"):
        WandB().start(tmp_path, {})


def test_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)

    with pytest.raises(MissingExtraError, match=r"ai-os-diffusion\[wandb\]"):
        WandB().start(tmp_path, {})
