"""The held-out loss while a network learns."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
import torch
from attrs import evolve

from aios_core.contracts import CueSource
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import nelbo, nll
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times
from aios_core.training import trainer
from aios_core.training.checkpoint import State, latest, load, read_state
from aios_core.training.data import prepare
from aios_core.training.held_out import HeldOut, is_over
from aios_core.training.learner import Learner
from aios_core.training.trainer import train

OFTEN = ("training.evaluate_every=2", "training.log_every=3")


def records(folder, name):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line[name] for line in lines if name in line}


def test_is_recorded_when_due_and_at_the_end(tiny, tmp_path):
    train(tiny(*OFTEN, "training.steps=7"), tmp_path, progress=False)

    assert list(records(tmp_path, "held_out_loss")) == [2, 4, 6, 7]
    assert list(records(tmp_path, "loss")) == [3, 6, 7]


@pytest.mark.parametrize("mode", ["diffusion", "ar"])
def test_measuring_changes_nothing(tiny, tmp_path, mode):
    often = train(tiny(f"mode={mode}", *OFTEN), tmp_path / "often", progress=False)
    never = train(tiny(f"mode={mode}", "training.evaluate_every=99"), tmp_path / "never")

    for parameter, other in zip(
        load(often).model.parameters(), load(never).model.parameters(), strict=True
    ):
        assert parameter.equal(other)


def test_the_loss_of_the_twin_is_exact(tiny, tmp_path):
    """Of all windows, it is the likelihood that an evaluation measures on the saved weights."""
    resolved = tiny("mode=ar", "training.evaluate_windows=99999")
    loaded = load(train(resolved, tmp_path, progress=False))
    held_out = prepare(resolved).held_out.sequences()
    with torch.no_grad():
        expected = float(nll(loaded.model, held_out).sum() / held_out.sizes.sum())

    assert records(tmp_path, "held_out_loss")[6] == pytest.approx(expected, rel=1e-5)


def test_the_noise_is_the_same_each_time(tiny):
    resolved = tiny()
    learner = Learner(resolved.config, prepare(resolved))

    assert learner.held_out_loss() == learner.held_out_loss()
    assert learner.model.training


def test_a_run_may_stand_for_its_best_step(tiny, tmp_path):
    """A learning rate so high that the network gets worse; the best step is kept and loaded."""
    wild = tiny(*OFTEN, "training.keep=best", "training.learning_rate=1.0", "training.steps=20")
    result = train(wild, tmp_path, progress=False)
    losses = records(tmp_path, "held_out_loss")
    best = min(losses, key=losses.get)

    assert best < 20 == read_state(latest(tmp_path)).step
    assert result.name == f"step-{best:06d}" == load(tmp_path).folder.name
    assert result == train(wild, tmp_path, progress=False), "which is not trained again"


def test_patience_ends_a_run(tiny, tmp_path, caplog):
    caplog.set_level("INFO")
    wild = tiny(*OFTEN, "training.patience=3", "training.learning_rate=1.0", "training.steps=90")
    train(wild, tmp_path, progress=False)
    losses = records(tmp_path, "held_out_loss")
    best, last = min(losses, key=losses.get), max(losses)

    assert last == best + 6 == read_state(latest(tmp_path)).step < 90
    assert f"stopped after step {last} of 90, for the held-out loss was lowest at" in caplog.text
    train(wild, tmp_path, progress=False)
    assert losses == records(tmp_path, "held_out_loss")


def test_a_run_that_goes_on_remembers_its_best_step(tiny, tmp_path):
    wild = tiny(*OFTEN, "training.keep=best", "training.learning_rate=1.0", "training.steps=20")
    whole = train(wild, tmp_path / "whole", progress=False)
    train(wild, tmp_path / "again", progress=False)
    newest = latest(tmp_path / "again")
    before = newest.with_name("step-000018")
    (newest.parent / "latest").write_text(before.name)

    assert whole.name == train(wild, tmp_path / "again", progress=False).name


def test_when_a_run_is_over(tiny):
    training = evolve(tiny().config.training, steps=100, patience=2, evaluate_every=10)
    state = State(step=39, values={}, training_key="", tokenizer="", data="", best_step=20)

    assert not is_over(state, training)
    assert is_over(evolve(state, step=40), training)
    assert not is_over(evolve(state, step=99), evolve(training, patience=None))
    assert is_over(evolve(state, step=100, best_step=100, best_loss=math.pi), training)


def test_the_loss_is_the_bound_a_token_of_all_windows(tiny):
    """Each under its own time, the last window by its few tokens, whatever the batch."""
    resolved = tiny("training.evaluate_windows=99999", "training.batch_size=4000", "seed=3",
                    "diffusion.time_epsilon=1e-3")  # fmt: skip
    tokens, config = prepare(resolved).held_out, resolved.config
    model = Model.build(config, prepare(resolved).tokenizer.vocabulary)
    result = HeldOut(config, tokens, CueSource()).loss(model)
    windows = tokens.sequences(16)
    times = draw_times(len(windows), torch.Generator().manual_seed(3), "stratified", 1e-3)
    with torch.no_grad():
        random = RowRandom.numbered(3, range(len(windows)), 16)
        nats = nelbo(model.eval(), windows, times, random)

    assert not windows.targets.all()
    assert len(tokens.ids) == windows.sizes.sum()
    assert pytest.approx(float(nats.sum()) / len(tokens.ids)) == result
    small = evolve(config, training=evolve(config.training, batch_size=7))
    assert pytest.approx(result, rel=1e-5) == HeldOut(small, tokens, CueSource()).loss(model)


@pytest.mark.parametrize(("keep", "kept"), [("best", True), ("last", False)])
def test_a_loss_is_better_when_it_is_lower(tiny, keep, kept):
    """An equal one is not: patience would never end; what is kept is said to be so."""
    loop = object.__new__(trainer._Loop)
    resolved = tiny(f"training.keep={keep}")
    loop._config, loop._since, loop._steps, loop._saved = resolved.config, 0.0, [], None
    first = State(step=0, values={}, training_key="", tokenizer="", data="")
    loop._state = first
    results = []
    for step, loss in enumerate((2.0, 2.0, 2.5, 1.5), 1):
        loop._state = evolve(loop._state, step=step)
        loop._learner = SimpleNamespace(
            held_out_loss=lambda loss=loss: loss, row=("a row", "a shorter one")
        )
        results.append((*loop._measure(), loop._state.best_step, loop._state.best_loss))

    assert [
        (kept, 2.0, 1, 2.0),
        (False, 2.0, 1, 2.0),
        (False, 2.5, 1, 2.0),
        (kept, 1.5, 4, 1.5),
    ] == results
