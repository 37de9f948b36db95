"""What is read of an ablation's folder: values by seed, and comparisons."""

import json
from pathlib import Path

import attrs
import pytest

from aios_core.experiment.arms import judge, network
from aios_core.experiment.results import Results, TrialResult
from aios_core.experiment.statistics import summarise

UNIT = {"unit": "nats", "stderr": 0.25}


def trial(arm, seed, value, *, better="lower", reference=None, status="done", bits=8.0):
    """A trial that measured one value of its samples, and one of its network."""
    measured = {"m": {"value": value, "better": better, **UNIT}}
    held_out = {} if reference is None else {"m": {"value": reference, "better": better, **UNIT}}
    result = {"status": status, "nfe": 4, "sampling_seconds": 1.5, "dtype": "float64"}
    return TrialResult(
        key=f"{arm}{seed}",
        arm=arm,
        baseline=arm == "a",
        seed=seed,
        settings={"noise.type": arm, "seed": seed},
        training_key=f"t{arm}",
        model={"metrics": {"bits": {"value": bits, "better": None, "unit": "bit", "stderr": None}}},
        result={"status": status, "reason": "it broke\nhere"}
        if status != "done"
        else {**result, "metrics": measured, "reference": held_out},
    )


def results(*trials):
    return Results(Path(), {"name": "x"}, trials, {})


def test_values_of_a_trial_are_of_samples_cost_and_network():
    done, failed = trial("a", 0, 3.0), trial("a", 1, 3.0, status="failed")
    missing = attrs.evolve(done, result={})

    assert {"m": 3.0, "nfe": 4, "seconds": 1.5, "bits": 8.0} == done.values
    assert [{}, {}] == [failed.values, missing.values]
    assert ["done", "failed", "missing"] == [each.status for each in (done, failed, missing)]
    assert {"bits": 8.0} == failed.model_values


def test_arms_are_compared_by_the_seeds_that_both_have():
    """The one that failed, and the one that the baseline has not, count for nothing."""
    result = results(
        trial("a", 0, 1.0),
        trial("a", 1, 2.0),
        trial("a", 2, 4.0),
        trial("b", 0, 2.0),
        trial("b", 1, 3.5),
        trial("b", 2, 0.0, status="failed"),
        trial("b", 3, -9.0),
    )
    base, other = result.arms

    assert {0: 2.0, 1: 3.5, 3: -9.0} == other.by_seed("m")
    assert summarise([1.0, 1.5]) == result.difference(other, "m")
    assert result.difference(base, "m") is None
    assert summarise([2.0, 3.5, -9.0]) == other.summary("m")
    assert other.summary("none") is None
    assert ("a", {"noise.type": "a"}) == (result.baseline.label, base.settings)


@pytest.mark.parametrize(
    ("better", "values", "verdict", "best"),
    [
        ("lower", (0.1, 0.2, 0.3), "better", "b"),
        ("higher", (0.1, 0.2, 0.3), "worse", "a"),
        ("lower", (1.9, 2.2, 2.3), "worse", "a"),
        ("higher", (1.9, 2.2, 2.3), "better", "b"),
        ("lower", (0.1, 1.1, 9.0), None, "a"),
        (None, (0.1, 0.2, 0.3), None, None),
    ],
)
def test_a_verdict_is_of_the_direction_and_of_an_interval_beyond_zero(
    better, values, verdict, best
):
    result = results(
        *(trial("a", n, v, better=better) for n, v in enumerate((1.0, 1.1, 1.2))),
        *(trial("b", n, v, better=better) for n, v in enumerate(values)),
    )
    assert verdict == result.verdict(result.arms[1], "m")
    first = result.best("m")

    assert best == (first and first[0].label)
    assert first is None or (verdict is not None) == first[1]
    assert ("m" if better else None) == result.headline


def test_distances_are_of_the_trials_that_have_a_reference():
    """Of an arm none of whose trials has one there is nothing to judge; its values still stand."""
    result = results(
        trial("a", 0, 3.0, better="nearer", reference=5.0),
        trial("a", 1, 9.0, better="nearer"),
        trial("b", 0, 1.0, better="nearer"),
    )
    base, other = result.arms

    assert result.by_distance("m")
    assert ({0: 5.0}, {0: 2.0}) == (base.references("m"), result.judged(base, "m"))
    assert ({}, {}) == (other.references("m"), result.judged(other, "m"))
    assert {0: 1.0} == other.by_seed("m")
    assert 5.0 == result.reference("m")
    assert result.best("m") is None
    assert not results(trial("a", 0, 3.0, better="nearer")).by_distance("m")


def test_measures_of_networks_are_compared_where_arms_differ_in_them():
    about = {"twin": False, "result": trial("a", 0, 0).model}

    def compared(*bits):
        trials = tuple(trial(arm, 0, 1.0, bits=b) for arm, b in zip("abc", bits, strict=False))
        return list(Results(Path(), {}, trials, {"k": about}).compared)

    assert ["m"] == compared(8.0, 8.0, 8.0)
    assert ["m", "bits"] == compared(8.0, 8.0, 4.0)
    twins = Results(Path(), {}, (trial("a", 0, 1.0),), {"k": {**about, "twin": True}})
    assert {} == twins.model_metrics()


@pytest.fixture
def ablation(tmp_path):
    """A folder in which two trials of one arm were judged by twins of their own."""
    models = {
        key: {"training_key": f"train-{key}", "seed": 0, "twin": key[0] == "t", "settings": {}}
        for key in ("m0", "m1", "t0", "t1")
    }
    trials = [
        {
            "key": f"k{n}",
            "arm": arm,
            "baseline": n == 0,
            "seed": seed,
            "settings": {"noise.type": arm, "sampler.steps": n, "seed": seed},
            "model": f"m{n % 2}",
            "twin": f"t{n % 2}",
        }
        for n, (arm, seed) in enumerate((("a", 0), ("b", 3), ("b", 1)))
    ]
    about = {"name": "x", "source": "", "trials": trials, "models": models}
    (tmp_path / "ablation.json").write_text(json.dumps(about))
    for each in trials:
        path = tmp_path / "trials" / each["key"] / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(trial(each["arm"], each["seed"], 1.0).result))
    return tmp_path


def test_a_network_is_of_the_lowest_seed_that_is_done_with_its_own_twin(ablation):
    def described(arm):
        chosen = network(ablation, arm)
        return chosen.seed, chosen.folder.name, chosen.twin.name, chosen.overrides

    assert (0, "train-m0", "train-t0", ("sampler.steps=0",)) == described("a")
    assert (1, "train-m0", "train-t0", ("sampler.steps=2",)) == described("b")
    (ablation / "trials" / "k2" / "result.json").write_text('{"status": "failed"}')
    assert (3, "train-m1", "train-t1", ("sampler.steps=1",)) == described("b")


def test_the_judge_of_a_network_is_that_of_its_trials(ablation):
    models = ablation / "models"

    assert models / "train-t0" == judge(models / "train-m0")
    assert models / "train-t1" == judge(models / "train-m1")
    assert judge(models / "train-other") is None
    assert judge(ablation / "elsewhere" / "train-m0") is None
