from __future__ import annotations

import json

import pytest

from aios_plugins.trackers.jsonl import Jsonl


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_record_is_on_disk_before_the_next_one(tmp_path):
    tracking = Jsonl().start(tmp_path, {})
    tracking.log({"loss": 2.5}, step=10)

    assert [{"step": 10, "loss": 2.5}] == records(tmp_path)
    tracking.finish()


@pytest.mark.parametrize("torn", ["", '{"step": 30, "lo', "\0\0\0\n", "[]\n"])
def test_going_on_drops_later_records_and_torn_lines(tmp_path, torn):
    lines = [json.dumps({"step": step, "loss": 1.0}) for step in (10, 20, 30)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n" + torn)
    tracking = Jsonl().start(tmp_path, {}, step=20)
    tracking.log({"loss": 0.5}, step=30)
    tracking.finish()

    assert [(10, 1.0), (20, 1.0), (30, 0.5)] == [(r["step"], r["loss"]) for r in records(tmp_path)]


def test_a_new_run_begins_with_an_empty_file(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0}\n')
    Jsonl().start(tmp_path, {}).finish()

    assert [] == records(tmp_path)
