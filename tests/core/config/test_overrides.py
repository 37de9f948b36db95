"""--set key=value: TOML, or a bare word; on top of every file."""

import pytest

from aios_core.config import load, resolve
from aios_core.errors import ConfigError


@pytest.fixture
def values(registry, write):
    path = write("[noise]\ntype = 'power'\nk = 3\n[sampling]\nlength = 9")
    return lambda *overrides: load(path, overrides=overrides, registry=registry).values


@pytest.mark.parametrize(
    ("override", "section", "key", "want"),
    [
        ("training.steps=7", "training", "steps", 7),
        (" training . steps = 7 ", "training", "steps", 7),
        ("training.learning_rate=1e-3", "training", "learning_rate", 0.001),
        ("evaluation.twin=false", "evaluation", "twin", False),
        ("sampler.type=confidence", "sampler", "type", "confidence"),
        ('sampler.type="confidence"', "sampler", "type", "confidence"),
        ("training.device=cuda:0", "training", "device", "cuda:0"),
        ("training.device=7", "training", "device", "7"),
        ("training.device=a = b", "training", "device", "a = b"),
        ('plugins.use."sampler.ancestral"=small-plugins', "plugins", "use", None),
        ("plugins.use={'noise.power' = 'small-plugins'}", "plugins", "use", None),
        ("noise={type='loglinear'}", "noise", "type", "loglinear"),
    ],
)
def test_values(values, override, section, key, want):
    result = values(override)[section][key]

    assert want == result if want is not None else "small-plugins" in result.values()


def test_names_of_runs_may_look_like_numbers_and_dates(values):
    assert "2026-01-01" == values("name=2026-01-01")["name"]
    assert "12" == values("name=12")["name"]


def test_switching_a_type_drops_the_keys_of_the_old_one(values):
    assert {"type": "loglinear"} == values("noise.type=loglinear")["noise"]
    assert {"type": "power", "k": 3.0} == values("noise.type=power")["noise"]


def test_the_order_of_overrides_means_nothing_but_the_last_of_a_key_counts(values):
    first = values("noise.needed=1", "noise.type=odd", "seed=1", "seed=2")

    assert first == values("seed=2", "noise.type=odd", "noise.needed=1")


def test_arrays_are_replaced(values):
    assert ["nelbo"] == [metric["type"] for metric in values('metrics=[{type="nelbo"}]')["metrics"]]


def test_paths_are_relative_to_the_working_directory(values, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    result = values("noise.type=odd", "noise.needed=1", "noise.file=x/../y")

    assert str(tmp_path.parent / "y") == result["noise"]["file"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set seed: expected key=value, as in sampler.steps=16"),
        ("=3", "--set =3: expected key=value"),
        ("a b=3", "--set a b=3: expected key=value"),
        ("a\nb=3", "--set a\nb=3: expected key=value"),
        ("a = 1\nb=3", "--set a = 1\nb=3: a: unknown section"),
        ("sead=3", "--set sead=3: sead: unknown section; did you mean 'seed'?"),
        (
            "training.steps=1O",
            '--set training.steps=1O: training.steps: expected an integer, got "1O"',
        ),
        ("noise.k=0", "--set noise.k=0: noise.k: expected a number > 0, got 0"),
        ("plugins.require=[1]", "plugins.require[0]: expected a string, got 1"),
        ("noise.type=x", "--set noise.type=x: noise.type: no noise is called 'x'"),
        ("training=3", "--set training=3: training: expected a table, got 3"),
    ],
)
def test_faults_name_the_override(values, override, message):
    with pytest.raises(ConfigError) as caught:
        values(override)

    assert message in caught.value.problems[0]


def test_wrong_overrides_are_told_at_once(values):
    with pytest.raises(ConfigError) as caught:
        values("a", "b")

    assert 2 == len(caught.value.problems)


def test_plain_data_may_be_overridden(registry):
    assert 3 == resolve({"seed": 1}, overrides=["seed=3"], registry=registry).config.seed
