"""What training says of itself: at its start, and on the way."""

import math
import re
from types import SimpleNamespace

import pytest
import torch
from attrs import evolve

from aios_core.training import material, progress, trainer
from aios_core.training.data import prepare
from aios_core.training.learner import Step
from aios_core.training.trainer import train
from aios_core.training.yardsticks import yardsticks


def test_what_is_left_is_told_by_the_steps_of_this_process(monkeypatch, caplog):
    """One line as soon as there is something to go by, and one a tenth of the run.

    The time of steps that another process did is not known.
    """
    caplog.set_level("INFO")
    clock = iter([100.0, 102.0, 104.0, 106.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    shown = progress.TrainingProgress("name", 20, 10, shown=True)
    for done, values in (
        (11, {}),
        (11, {"loss": 9.0}),
        (12, {}),
        (12, {"loss": 2.5, "held_out_loss": 3.0, "grad_norm": 1.0}),
        (13, {"loss": 2.25}),
        (14, {"loss": 2.0}),
    ):
        shown.advance(done, values)

    assert [record.getMessage() for record in caplog.records] == [
        "name: step 11 of 20, loss 9.000; 0:00:02 passed, about 0:00:18 left",
        "name: step 12 of 20, loss 2.500, held-out 3.000; 0:00:04 passed, about 0:00:16 left",
        "name: step 14 of 20, loss 2.000; 0:00:06 passed, about 0:00:09 left",
    ]


def test_a_run_says_at_its_start_what_it_is_and_what_word_counts_reach(tiny, tmp_path, caplog):
    """Fault D6, and 5 and 6 of `Everything else`: size, epochs, split, yardsticks, and the twin."""
    caplog.set_level("INFO")
    train(tiny("training.log_every=3", "training.accumulate=2"), tmp_path, prepared=prepare(tiny()))
    said = [record.getMessage() for record in caplog.records if record.name == progress.__name__]
    first, known, _, soon, _ = said
    prepared = prepare(tiny())
    trained, held_out = len(prepared.train.ids), len(prepared.held_out.ids)
    reached = yardsticks(prepared.train.rows, prepared.held_out, prepared.tokenizer.vocabulary)

    assert re.search(r"\(diffusion\): [0-9,]+ parameters; ", first)
    assert (
        f"{trained:,} tokens in 1 row to train on, {held_out:,} tokens in 1 row held out, "
        "0 of which are trained on as well; " in first
    )
    (epochs,) = re.findall(r"; 6 steps of 8 x 16 tokens are ([0-9.]+) epochs, in about 0:", first)
    assert float(epochs) == pytest.approx(6 * 8 * 16 / trained, rel=0.05)
    assert "; then 6 steps of its autoregressive twin, which judges samples, in about as" in first
    assert f"{math.log(259):.3f} nats a held-out token (uniform, perplexity 259)" in known
    unigram = reached["unigram"]
    assert f"reach {unigram:.3f} (unigram, perplexity {math.exp(unigram):.4g})" in known
    assert "step 3 of 6" in soon
    assert "passed, about 0:00:0" in soon


@pytest.mark.parametrize(
    "case",
    [
        (10, "0:01:57"),  # of 3 s, for the first took 60 s
        (2, "0:01:57"),
        (1, "0:39:00"),
    ],
)
def test_what_a_training_takes_is_said_by_its_first_steps(
    tiny, tmp_path, monkeypatch, caplog, case
):
    """And before any of them is reported; of a run that goes on, of what is left."""
    caplog.set_level("INFO")
    (log_every, time), clock, begun = case, SimpleNamespace(now=0.0), []

    def step(self, number):
        begun.append(number + 1)
        clock.now += 3.0 if len(begun) > 1 else 60.0
        if number == 4:
            raise KeyboardInterrupt
        return Step(number + 1, torch.tensor(1.0), 0.1, torch.tensor(1.0))

    said = []
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(material, "announce", lambda *_: said.append((begun[:], _[-2:])))
    monkeypatch.setattr(material.Learner, "step", step)
    every = (f"training.{what}_every=10" for what in ("evaluate", "checkpoint"))
    setting = tiny("training.steps=39", f"training.log_every={log_every}", *every)
    with pytest.raises(KeyboardInterrupt):
        train(setting, tmp_path)

    ((steps, (first, seconds)),) = said
    assert ([1, 2, 3, 4][:log_every], 0) == (steps, first)
    progress.announce(setting.config, prepare(setting), 1, first, seconds)
    assert f"epochs, in about {time}; then 39 steps of its" in caplog.text
    progress.announce(setting.config, prepare(setting), 1, 29, 3.0)
    assert "epochs, in about 0:00:30 from step 30 on; then 39 steps of its" in caplog.text


def test_epochs_are_passes_over_rows_however_many_share_a_sequence(tiny, tmp_path):
    """Those of short rows are far fewer than tokens would say."""
    (tmp_path / "short.jsonl").write_text('{"text": "abc"}\n' * 50 + '{"text": "z"}\n' * 50)
    over = f"dataset.path={tmp_path / 'short.jsonl'}"
    split = prepare(tiny(over)).train
    alone = split.framed(evolve(split.framing, packed=False))
    count = 5 * len(split.rows)

    assert alone.epochs(0, count) == 5
    assert 5 < split.epochs(0, count) < 5 * 16 / 5
    a_pass = split.batch(0, 0, round(count / split.epochs(0, count)))
    assert int(a_pass.sizes.sum()) == pytest.approx(split.rows.learned, rel=0.2)
    stream = tiny("diffusion.packing=stream", over)
    assert prepare(stream).train.epochs(0, 30) == pytest.approx(
        30 * 16 / split.rows.learned, rel=0.02
    )
