"""Fault D5: a run goes on with more steps and other settings, and a refusal says what differs."""

from __future__ import annotations

import json
import tomllib

import pytest
from attrs import evolve

from aios_core.config import load
from aios_core.errors import TrainingError
from aios_core.training.checkpoint import chosen, latest, read_state, write_state
from aios_core.training.trainer import train

WSD = ("lr_schedule.type=wsd", "lr_schedule.decay=0.25", "training.log_every=1")
OFTEN = ("training.evaluate_every=2", "training.log_every=3", "training.learning_rate=1.0")


def assert_same(first, other):
    """Bit for bit."""
    for part in ("weights", "ema", "optimizer"):
        assert (first / f"{part}.safetensors").read_bytes() == (
            other / f"{part}.safetensors"
        ).read_bytes(), part


def steps(folder):
    return list(records(folder, "step"))


def records(folder, name):
    """By step, what was recorded under a name."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line[name] for line in lines if name in line}


def go_back(run, step):
    """As if the process had ended after a step."""
    newest = latest(run)
    (newest.parent / "latest").write_text(f"step-{step:06d}")


def test_a_stopped_run_goes_on_to_more_steps_as_if_there_had_never_been_fewer(
    tiny, tmp_path, caplog
):
    """With a schedule that gives the steps done the same rates, it is the straight run."""
    whole = train(tiny(*WSD, "training.steps=12"), tmp_path / "whole", progress=False)
    train(tiny(*WSD), tmp_path / "run", progress=False)
    go_back(tmp_path / "run", 3)
    longer = train(tiny(*WSD, "training.steps=12"), tmp_path / "run", progress=False)

    assert_same(whole, longer)
    assert list(range(1, 13)) == steps(tmp_path / "run")
    assert "learning rates of" not in caplog.text
    assert [] == read_state(longer).past
    assert read_state(whole).training_key == read_state(longer).training_key


def test_fewer_steps_are_as_good_as_long_as_they_are_not_done(tiny, tmp_path):
    train(tiny(*WSD, "training.steps=12"), tmp_path / "run", progress=False)
    go_back(tmp_path / "run", 9)
    with pytest.raises(
        TrainingError, match=r"training\.steps: 9 are done there, 6 here; expected "
    ):
        train(tiny(*WSD, "training.steps=6"), tmp_path / "run", progress=False)

    assert "step-000011" == train(tiny(*WSD, "training.steps=11"), tmp_path / "run").name


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_a_finished_run_goes_on_and_says_that_it_has_another_past(tiny, tmp_path, schedule, caplog):
    """Rates follow the new number from then on, as users of other trainers expect."""
    kind = f"lr_schedule={{type = '{schedule}'{', decay = 0.6' * (schedule == 'wsd')}}}"
    train(tiny(kind, "training.log_every=1"), tmp_path, progress=False)
    longer = tiny(kind, "training.steps=9", "training.log_every=1")
    result = train(longer, tmp_path, progress=False)
    rates = list(records(tmp_path, "learning_rate").values())
    expected = [
        longer.config.lr_schedule.rate(step, steps=9, peak=2e-3, warmup=2) for step in range(9)
    ]

    assert ("step-000009", 9) == (result.name, read_state(result).values["training"]["steps"])
    assert rates[6:] == expected[6:]
    assert rates[:6] != expected[:6]
    assert 1 == caplog.text.count("the 6 steps done had the learning rates of 6 steps")
    past = [{"until": 6, "steps": 6}]
    lock = tomllib.loads((tmp_path / "run.lock.toml").read_text())["lock"]
    assert past == read_state(result).past == lock["data"]["past"]
    caplog.clear()
    assert result == train(longer, tmp_path, progress=False)
    assert "learning rates" not in caplog.text
    load(tmp_path / "run.lock.toml")
    assert "training.steps was changed on the way of that run" in caplog.text


@pytest.mark.parametrize("over", [True, False])
@pytest.mark.parametrize(
    "override",
    [
        "training.patience=9",
        "training.keep=best",
        "training.evaluate_every=2",
        "training.evaluate_windows=3",
        "training.checkpoint_every=2",
        "training.log_every=1",
        "training.gradient_checkpointing=true",
        "evaluation.draws=2",
        "sampling.temperature=0.5",
        "sampler.steps=3",
        "metrics=[]",
        "executor.type=serial",
        "reports=[]",
    ],
)
def test_settings_that_change_no_weight_void_nothing(tiny, tmp_path, override, over):
    whole = train(tiny(), tmp_path, progress=False)
    times = {path: path.stat().st_mtime_ns for path in whole.glob("*.safetensors")}
    if not over:
        go_back(tmp_path, 3)
        before = train(tiny(), tmp_path / "whole", progress=False)
        assert_same(before, train(tiny(override), tmp_path, progress=False))
        return
    result = train(tiny(override), tmp_path, progress=False)

    assert times == {path: path.stat().st_mtime_ns for path in result.glob("*.safetensors")}
    assert tiny(override).values == read_state(result).values


def test_an_error_names_every_key_that_differs_with_both_values(tiny, tmp_path):
    train(tiny("noise.type=polynomial"), tmp_path, progress=False)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    other = ("training.batch_size=8", "diffusion.mask_rates=[0.1, 0.9]", "seed=3")
    with pytest.raises(TrainingError) as error:
        train(tiny(*other, "training.steps=9", "training.keep=best"), tmp_path, progress=False)

    _, listed = str(error.value).split("holds a run of another configuration, ")
    listed, expected = listed.split("; expected ")
    kept, *keys = listed.replace("which is kept as it is: ", "which is kept as it is; ").split("; ")
    assert "which is kept as it is" == kept
    assert sorted(keys) == [
        "diffusion.mask_rates: [0.0, 1.0] there, [0.1, 0.9] here",
        "noise.eps: unset there, 0.001 here",
        "noise.exponent: 2.0 there, unset here",
        'noise.type: "polynomial" there, "loglinear" here',
        "seed: 0 there, 3 here",
        "training.batch_size: 4 there, 8 here",
    ]
    assert "what is there, another folder, or `fresh` to throw that run away" == expected
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_a_component_that_is_gone_is_named(tiny, tmp_path):
    result = train(tiny(), tmp_path, progress=False)
    state = read_state(result)
    write_state(result, evolve(state, values={**state.values, "noise": {"type": "unheard"}}))

    with pytest.raises(TrainingError, match=r"which is kept as it is: .*unheard.*; expected anoth"):
        train(tiny(), tmp_path, progress=False)


def test_patience_that_grows_lets_a_run_go_on(tiny, tmp_path):
    often = (*OFTEN, "training.steps=20")
    train(tiny(*often, "training.patience=2"), tmp_path / "run", progress=False)
    stopped = read_state(latest(tmp_path / "run")).step
    longer = train(tiny(*often), tmp_path / "run", progress=False)

    assert stopped < 20
    assert_same(train(tiny(*often), tmp_path / "whole", progress=False), longer)


def test_the_best_step_of_a_run_that_kept_only_the_last(tiny, tmp_path, caplog):
    caplog.set_level("INFO")
    often = (*OFTEN, "training.steps=20")
    train(tiny(*often), tmp_path, progress=False)
    state = read_state(latest(tmp_path))
    assert state.best_step < 18, "which is not there any more"
    with pytest.raises(TrainingError, match=f"lowest at step {state.best_step}, which that run "):
        train(tiny(*often, "training.keep=best"), tmp_path, progress=False)

    best = (*OFTEN, "training.keep=best", "training.steps=30")
    result = train(tiny(*best), tmp_path, progress=False)
    later = {step: loss for step, loss in records(tmp_path, "held_out_loss").items() if step > 20}

    assert "for the one before was not kept" in caplog.text
    assert result == chosen(tmp_path)
    assert f"step-{min(later, key=later.get):06d}" == result.name
    assert result.is_dir()
    # And back: it stands for its last step again, which nothing has to be trained for.
    last = train(tiny(*OFTEN, "training.steps=30"), tmp_path, progress=False)
    assert "step-000030" == last.name == chosen(tmp_path).name


def test_losses_of_other_windows_are_not_compared(tiny, tmp_path, caplog):
    caplog.set_level("INFO")
    best = (*OFTEN, "training.keep=best")
    train(tiny(*best, "training.steps=4"), tmp_path, progress=False)
    more = (*best, "training.steps=8", "training.evaluate_windows=5")
    result = train(tiny(*more), tmp_path, progress=False)
    later = {step: loss for step, loss in records(tmp_path, "held_out_loss").items() if step > 4}

    assert "for the one before was of other windows" in caplog.text
    assert f"step-{min(later, key=later.get):06d}" == result.name
