"""Loading: every default written out, values of every type, round trips."""

import tomllib

import pytest
import tomli_w

from aios_core.config import load, resolve, twin
from aios_core.errors import ConfigError
from aios_core.registry import Registry

ODD = """
[noise]
type = "odd"
needed = 3
flag = true
file = "x/../y"
either = 2.5
kind = 3
sizes = []
pair = ["p", 2]
named = { "a.b" = 1 }
shape = { width = 4, label = "l" }
shapes = [{}, { width = 2 }]
private = 5
low = 2
"""


def test_an_empty_file_is_the_defaults(registry, write, held):
    resolved = load(write(""), registry=registry)

    assert 1000 == resolved.config.training.steps
    assert "loglinear" == resolved.values["noise"]["type"]
    assert {"type": "ancestral", "steps": 64, "order": "random"} == resolved.values["sampler"]
    assert ["nelbo", "likelihood", "twin", "entropy", "distinct"] == [
        metric["type"] for metric in resolved.values["metrics"]
    ]
    assert "length" not in resolved.values["sampling"]
    assert held == len(resolved.components), "what each kind says"


def test_values_of_every_type(registry, write, tmp_path):
    resolved = load(write(ODD), registry=registry)

    noise = resolved.config.noise
    assert tmp_path / "y" == noise.file
    assert ("p", 2.0) == noise.pair
    assert float is type(noise.pair[1])
    assert (2.5, 3, (), {"a.b": 1.0}) == (noise.either, noise.kind, noise.sizes, noise.named)
    assert (4, "l", 1, 2) == (
        noise.shape.width,
        noise.shape.label,
        noise.shapes[0].width,
        noise.shapes[1].width,
    )
    assert (5, 2.0, 3.0) == (noise._private, noise.low, noise.high)


def test_values_resolve_to_themselves_also_through_toml_and_with_none(registry, write):
    resolved = load(write(ODD), registry=registry)

    assert resolved == resolve(resolved.values, registry=registry)
    assert resolved == resolve(tomllib.loads(tomli_w.dumps(resolved.values)), registry=registry)
    sampling = {**resolved.values["sampling"], "length": None}
    assert resolved == resolve({**resolved.values, "sampling": sampling}, registry=registry)


def test_a_twin_is_the_same_run_but_for_mode_and_seed(registry):
    values = {"seed": 4, "evaluation": {"twin_seed": 7}, "training": {"steps": 3}}

    judge = twin(resolve(values, registry=registry)).config

    assert ("ar", 7, 3) == (judge.mode, judge.seed, judge.training.steps)


def test_a_pin_decides_between_two_distributions(registry, write):
    for component in registry.components("noise"):
        other = registry._offers[component.kind, component.name]
        other.append(
            type(component)(
                distribution="other",
                version="2",
                entry_point="e",
                kind=component.kind,
                name=component.name,
                reference=component.reference,
                contract=component.contract,
            )
        )
    path = write('[plugins.use]\n"noise.loglinear" = "other"')

    result = load(path, registry=registry)

    assert (
        "other"
        == next(
            component for component in result.components if component.kind == "noise"
        ).distribution
    )


def test_what_is_installed_resolves_by_default():
    assert resolve({}).values == resolve({}, registry=Registry.discover()).values


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        ([{"type": "nelbo"}, {"type": "nelbo"}], "entries 0 and 1 both give nelbo, nelbo_bpb"),
        ([{"type": "distinct", "n": [2, 3]}, {"type": "distinct", "n": [3]}], "give distinct_3"),
    ],
)
def test_metrics_whose_values_have_the_same_name_are_refused(metrics, problem):
    """They would be refused when both have measured, hours later."""
    with pytest.raises(ConfigError, match=f"^metrics: .*{problem}"):
        resolve({"metrics": metrics})

    apart = [{"type": "distinct", "n": [n]} for n in (2, 3)]
    assert 3 == len(resolve({"metrics": [{"type": "nelbo"}, *apart]}).config.metrics)
