"""Configurations that were written before a key moved, as they are stored."""

import pytest

from aios_core.config import load, resolve
from aios_core.config.sweep import trials
from aios_core.config.upgrade import upgraded
from aios_core.errors import ConfigError

STORED = {
    "name": "run",
    "seed": 0,
    "evolution": {
        "policy": "ladder",
        "thresholds": [1.0, 3.0],
        "share": 0.1,
        "steps": 60,
        "batch_size": 16,
        "fitting_windows": 2048,
        "windows": 24,
        "draws": 4,
        "epsilon": 0.0,
        "base_tolerance": 1.0,
        "confidence": 0.95,
    },
}
"""As ``state.json`` of a run had it, where every default is written out."""


def policy(resolved):
    return resolved.values["policy"]


def test_a_stored_run_has_the_policy_that_it_had():
    unsure = STORED["evolution"] | {"policy": "uncertainty", "thresholds": [0.5, 2.0]}
    ladder, other = (
        resolve(STORED | {"evolution": each}) for each in (STORED["evolution"], unsure)
    )

    assert {"type": "ladder"} == policy(ladder)
    assert {"type": "uncertainty", "thresholds": [0.5, 2.0]} == policy(other)
    assert 60 == other.config.evolution.steps
    assert {"policy", "thresholds"}.isdisjoint(other.values["evolution"])
    assert other == resolve(other.values)


@pytest.mark.parametrize("words", ["evolution.policy=uncertainty", "policy.type=uncertainty"])
def test_what_is_said_on_top_of_it_counts(words):
    over = ("evolution.thresholds=[2.0]",) if words.startswith("evolution") else ()
    result = policy(resolve(STORED, overrides=(words, *over)))

    assert {"type": "uncertainty", "thresholds": [2.0] if over else [1.0, 3.0]} == result
    stored = STORED["evolution"] | {"policy": "uncertainty", "thresholds": [0.5]}
    over = resolve(STORED | {"evolution": stored}, overrides=["policy.thresholds=[4.0]"])
    assert {"type": "uncertainty", "thresholds": [4.0]} == policy(over)
    again = resolve(STORED | {"evolution": stored}, overrides=["policy.type=ladder"])
    assert {"type": "ladder"} == policy(again)


def test_files_are_read_likewise_and_those_that_extend_them(write):
    write('[evolution]\npolicy = "uncertainty"\nthresholds = [0.5]\n', "base.toml")
    path = write('extends = "base.toml"\n[policy]\nthresholds = [0.25]\n[ablate]\nseed = [0, 1]\n')
    expected = {"type": "uncertainty", "thresholds": [0.25]}

    assert expected == policy(load(path))
    assert [expected] * 2 == [policy(trial.resolved) for trial in trials(path)]
    (first,) = trials(STORED)
    assert {"type": "ladder"} == policy(first.resolved)


def test_both_ways_at_once_are_refused_with_the_line(write):
    path = write('[policy]\ntype = "ladder"\n[evolution]\npolicy = "uncertainty"\n')
    with pytest.raises(
        ConfigError, match=r"run.toml:4: evolution.policy: is policy.type today, and there is \[po"
    ):
        load(path)


def test_faults_are_told_of_the_key_of_today_at_the_line_of_then(write):
    path = write('[evolution]\npolicy = "uncertainty"\nthresholds = [1e9]\n')
    with pytest.raises(
        ConfigError, match=r"toml:3: policy.thresholds: expected a number <= 1000000"
    ):
        load(path)
    with pytest.raises(ConfigError, match=r"toml:2: policy.type: no policy is called 'guess'"):
        load(write('[evolution]\npolicy = "guess"\n'))


def test_a_layer_without_old_keys_stays_itself():
    from aios_core.config.document import Origin, tree

    layer = tree({"evolution": {"steps": 3}, "policy": {"type": "ladder"}}, Origin("", None))
    assert layer is upgraded(layer)


MEMORY = {"k": 2, "store": "/notes", "dim": 64, "num_tokens": 4, "heads": 4, "dropout": 0.5}


def conditioner(*words, **sections):
    return resolve(sections, overrides=words).values["conditioner"]


def test_stored_runs_have_the_memories_that_they_had():
    """As ``state.json`` had them, with those of a network that had none."""
    none = {"k": 0, "dim": 384, "num_tokens": 4, "heads": 4, "dropout": 0.1}

    assert {"type": "none"} == conditioner(memory=none) == conditioner()
    assert {"type": "none"} == conditioner(memory={})
    assert {"type": "memory", **MEMORY} == conditioner(memory=MEMORY)
    assert {"type": "memory", **MEMORY, "k": 3} == conditioner("memory.k=3", memory=MEMORY)
    assert {"type": "none"} == conditioner("memory.k=0", memory=MEMORY)
    said = ("memory.k=2", "memory.store='/notes'", "memory.dim=64", "memory.dropout=0.5")
    assert {"type": "memory", **MEMORY} == conditioner(*said)


def test_memories_in_both_forms_at_once_are_refused(write):
    path = write('[memory]\nk = 2\n[conditioner]\ntype = "memory"\n')
    with pytest.raises(ConfigError, match=r"toml:1: memory: is \[conditioner\] today"):
        load(path)
    with pytest.raises(ConfigError, match=r"is conditioner\.k today, with conditioner\.type = "):
        trials({"ablate": {"memory.k": [1, 2]}})


def test_the_one_tracker_of_before_is_the_only_one_of_today():
    stored = {"tracker": {"type": "tensorboard"}}

    assert [{"type": "tensorboard"}] == resolve(stored).values["trackers"]
    assert [{"type": "jsonl"}] == resolve({}).values["trackers"]
    result = resolve({}, overrides=["tracker.type=wandb", "seed=1"]).values["trackers"]
    assert ["wandb"] == [each["type"] for each in result]
    with pytest.raises(
        ConfigError, match=r"tracker: is \[\[trackers\]\] today, and there are some"
    ):
        resolve({**stored, "trackers": [{"type": "jsonl"}]})
