"""[ablate]: grids, zips, settings that do not apply, and what is wrong in them."""

import pytest

from aios_core.config import trials
from aios_core.errors import ConfigError

GRID = """
[ablate]
"noise.type" = ["loglinear", "power"]
sampler.type = ["ancestral", "first-hitting"]
"sampler.steps" = [4, 16]
seed = [0, 1]
"""


def settings(source, registry, *overrides):
    return [trial.settings for trial in trials(source, overrides=overrides, registry=registry)]


def problems(source, registry, *overrides):
    with pytest.raises(ConfigError) as caught:
        trials(source, overrides=overrides, registry=registry)
    return [problem.rpartition("run.toml:")[2] for problem in caught.value.problems]


def test_a_file_without_ablate_is_one_trial(registry, write):
    (trial,) = trials(write("seed = 3"), registry=registry)

    assert {} == trial.settings
    assert 3 == trial.resolved.config.seed
    assert trial.baseline


def test_the_last_key_varies_fastest_and_what_does_not_apply_is_left_out(registry, write):
    result = trials(write(GRID), registry=registry)

    assert [
        {"noise.type": noise, "sampler.type": kind, **steps, "seed": seed}
        for noise in ("loglinear", "power")
        for kind, steps in (
            ("ancestral", {"sampler.steps": 4}),
            ("ancestral", {"sampler.steps": 16}),
            ("first-hitting", {}),
        )
        for seed in (0, 1)
    ] == [trial.settings for trial in result]
    assert [1, 1, 1, 1, 2, 2] * 2 == [trial.merged for trial in result]
    assert 16 == result[3].resolved.config.sampler.steps
    assert [0, 1] == [i for i, trial in enumerate(result) if trial.baseline]


def test_the_baseline_arm_is_the_first_that_agrees(registry, write):
    text = GRID + 'baseline = { "sampler.type" = "first-hitting" }'

    arms = [trial.settings for trial in trials(write(text), registry=registry) if trial.baseline]

    want = {"noise.type": "loglinear", "sampler.type": "first-hitting"}
    assert [{**want, "seed": 0}, {**want, "seed": 1}] == arms


def test_a_zip_varies_its_keys_together(registry, write):
    text = """
    [ablate]
    seed = [0, 1]
    [[ablate.zip]]
    "noise.type" = ["loglinear", "power", "power"]
    "noise.k" = [1, 2, 3]
    """

    arms = [
        {"noise.type": "loglinear"},
        {"noise.type": "power", "noise.k": 2.0},
        {"noise.type": "power", "noise.k": 3.0},
    ]
    assert [{"seed": s, **arm} for s in (0, 1) for arm in arms] == settings(write(text), registry)


def test_an_override_holds_wherever_it_applies(registry, write):
    text = '[ablate]\n"sampler.type" = ["ancestral", "confidence", "first-hitting"]'

    result = trials(write(text), overrides=["sampler.steps=4"], registry=registry)

    values = [trial.resolved.values["sampler"] for trial in result]
    assert [4, 4, None] == [value.get("steps") for value in values]


def test_an_override_changes_what_varies(registry, write):
    result = settings(write(GRID), registry, "ablate.seed=[5]", 'ablate."sampler.steps"=[1]')

    assert {5} == {each["seed"] for each in result}
    assert 4 == len(result)


def test_a_key_written_for_one_type_survives_only_there(registry, write):
    text = '[noise]\ntype = "power"\nk = 3\n[ablate]\n"noise.type" = ["loglinear", "power"]'

    result = trials(write(text), registry=registry)

    assert [{"type": "loglinear"}, {"type": "power", "k": 3.0}] == [
        trial.resolved.values["noise"] for trial in result
    ]


def test_a_key_that_another_type_would_silently_lose_is_an_error(registry, write):
    text = '[sampler]\nsteps = 8\n[ablate]\n"sampler.type" = ["ancestral", "confidence"]\n'

    (problem,) = problems(write(text), registry)

    assert problem.startswith("2: sampler.steps: is written for 'ancestral', and 'confidence'")
    assert '"sampler.steps" = [8] in [ablate]' in problem
    assert 2 == len(settings(write(text + '"sampler.steps" = [8]'), registry))


def test_a_wrong_value_is_told_once_with_its_trial(registry, write):
    text = '[ablate]\nseed = [0, 1]\n"noise.type" = ["loglinear", "power"]\n"noise.k" = [\n1,\n-1]'

    (problem,) = problems(write(text), registry)

    message = 'seed = 0, noise.type = "power", noise.k = -1'
    assert f"6: noise.k: expected a number > 0, got -1.0 (in the trial {message})" == problem


def test_a_wrong_value_outside_is_told_once(registry, write):
    problem = "1: training.steps: expected a number >= 1, got 0"

    assert [problem] == problems(write("training.steps = 0\n" + GRID), registry)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = []", "2: ablate.seed: no values to try; expected at least one"),
        ("seed = 3", "2: ablate.seed: expected an array of the values to try, got 3"),
        (
            "seed = [1, 2, 1]",
            "2: ablate.seed: the same values stand here twice; expected each once",
        ),
        ('"noise.k" = [1, 2, 1.0]', "the same values stand here twice; expected each once"),
        ('"sampling.temperature" = [0.0, -0.0]', "the same values stand here twice"),
        ('"dataset.path" = [["a", 1], ["a", 1.0]]', "the same values stand here twice"),
        (
            "[[ablate.zip]]\nseed = [1, 1]\n'noise.k' = [0.0, -0.0]",
            "3: ablate.seed: the same values stand here twice; expected each once",
        ),
        ("sed = [1]", "2: ablate.sed: unknown section; known: name, seed, mode"),
        ('"sampler.stps" = [1]', "2: sampler.stps: unknown key; did you mean 'steps'?"),
        ('"noise..k" = [1]', '2: ablate."noise..k": expected a key, as in noise.type'),
        ('"logging.level" = ["info"]', "changes nothing that is measured, so it cannot vary"),
        ('"metrics.type" = ["nelbo"]', "every trial is measured in the same way"),
        ('noise = [{type = "power"}]', "names a whole section; expected one of its keys"),
        ("zip = 3", "2: ablate.zip: expected tables, [[ablate.zip]]"),
        ("[[ablate.zip]]\nseed = [0, 1]\nmode = ['ar']", "seed has 2, mode has 1"),
        ("[[ablate.zip]]\nseed = [0]\nmode = []", "4: ablate.mode: an empty list in a zip"),
        ("seed = [0]\n[[ablate.zip]]\nseed = [1]", "4: ablate.seed: varies in two places"),
        (
            "seed = [0]\nbaseline.seed = 1",
            "3: ablate.baseline.seed: 1 is not tried; expected one of 0",
        ),
        ("seed = [0]\nbaseline.mode = 'ar'", "baseline.mode: does not vary; what varies: seed"),
        ("baseline = 3", "2: ablate.baseline: expected a table of settings"),
    ],
)
def test_faults_of_ablate(registry, write, text, message):
    (problem,) = problems(write(f"[ablate]\n{text}"), registry)

    assert message in problem.replace('."seed"', ".seed").replace('"', '"')


def test_ablate_must_be_a_table(registry, write):
    assert ["1: ablate: expected a table, got 3"] == problems(write("ablate = 3"), registry)


def test_an_override_of_what_varies_is_an_error(registry, write):
    with pytest.raises(ConfigError, match=r"--set seed=1: seed: varies under \[ablate\]"):
        trials(write(GRID), overrides=["seed=1"], registry=registry)


def test_a_grid_beyond_reason_is_an_error(registry, write):
    numbers = list(range(200))
    text = f"[ablate]\nseed = {numbers}\n'training.steps' = {numbers[1:]}"

    assert ["1: ablate: 39800 trials; expected at most 10000"] == problems(write(text), registry)


def test_an_unknown_component_is_told_with_its_place(registry, write):
    text = '[ablate]\n"noise.type" = [\n"power",\n"powr"]'

    (problem,) = problems(write(text), registry)

    assert problem.startswith("4: noise.type: no noise is called 'powr'; did you mean 'power'?")


def test_plain_data_has_trials_too(registry):
    assert [{"seed": 1}, {"seed": 2}] == settings({"ablate": {"seed": [1, 2]}}, registry)
