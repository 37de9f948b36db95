"""Components inside components: a field whose type is the contract of a kind."""

import types
from pathlib import Path
from typing import ClassVar

import jsonschema
import pytest
from attrs import frozen

import aios_core
from aios_core import contracts
from aios_core.cli.fields import describe_fields
from aios_core.config import keys, resolve
from aios_core.config.json_schema import json_schema
from aios_core.config.keys import training_key
from aios_core.errors import ConfigError
from aios_core.registry import Registry, part


@frozen
class Listed(contracts.Dataset):
    """One text."""

    path: Path
    weight: float = 1.0

    def documents(self):
        return iter(["a text"])


@frozen
class Several(contracts.Dataset):
    """Those of others."""

    of: tuple[contracts.Dataset, ...]
    spare: contracts.Dataset | None = None

    def documents(self):
        for dataset in self.of:
            yield from dataset.documents()


@frozen
class Spread(contracts.Metric):
    """Holds a schedule, which has a default."""

    of: ClassVar = "samples"
    units: ClassVar = {"spread": "nats"}
    better: ClassVar = {"spread": "lower"}

    noise: contracts.NoiseScheduler = part("noise", "polynomial", exponent=3.0)

    def measure(self, evidence):
        return {}


@pytest.fixture
def registry():
    registry = Registry.discover()
    plugin = types.SimpleNamespace(
        AIOS_API=1,
        aios_datasets=aios_core.hookimpl(aios_datasets),
        aios_metrics=aios_core.hookimpl(aios_metrics),
    )
    registry.add(plugin, distribution="nested", version="1", name="nested")
    return registry


def aios_datasets():
    return {"listed": Listed, "several": Several}


def aios_metrics():
    return {"spread": Spread}


def spread(registry, **values):
    return resolve({"metrics": [{"type": "spread", **values}]}, registry=registry)


def test_a_component_that_another_one_holds_may_have_a_default(registry):
    resolved = spread(registry)

    assert {"type": "polynomial", "exponent": 3.0} == resolved.values["metrics"][0]["noise"]
    assert 3.0 == resolved.config.metrics[0].noise.exponent
    assert Spread() == resolved.config.metrics[0], "as one made by hand"
    again = resolve(resolved.values, registry=registry)
    assert resolved.values == again.values
    assert "noise.polynomial" in [component.key for component in resolved.components]
    jsonschema.validate(resolved.values, json_schema(registry))


def test_its_table_may_name_a_type_or_keys_of_the_default_alone(registry):
    assert {"type": "cosine"} == spread(registry, noise={"type": "cosine"}).values["metrics"][0][
        "noise"
    ]
    assert 2.0 == spread(registry, noise={"exponent": 2.0}).config.metrics[0].noise.exponent
    with pytest.raises(
        ConfigError, match=r"metrics\[0\].noise.exponnt: unknown key; did you mean 'exponent'"
    ):
        spread(registry, noise={"exponnt": 2.0})


def several(*parts, **more):
    return {"dataset": {"type": "several", "of": list(parts), **more}}


def listed(path, **more):
    return {"type": "listed", "path": path, **more}


def test_a_component_holds_others(registry):
    values = several(listed("a"), several(listed("b", weight=2))["dataset"], spare=listed("c"))
    resolved = resolve(values, registry=registry)
    first, other = resolved.config.dataset.of

    assert Listed(Path.cwd() / "a") == first
    assert (Listed(Path.cwd() / "b", 2.0),) == other.of
    assert Listed(Path.cwd() / "c") == resolved.config.dataset.spare
    assert ["a text"] * 2 == list(resolved.config.dataset.documents())


def test_values_name_the_types_and_resolve_to_the_same(registry):
    resolved = resolve(several(listed("a"), spare=listed("c")), registry=registry)
    inner = resolved.values["dataset"]["of"][0]

    assert {"type": "listed", "path": str(Path.cwd() / "a"), "weight": 1.0} == inner
    assert resolved.values == resolve(resolved.values, registry=registry).values
    assert {("dataset", "of", 0, "path"), ("dataset", "spare", "path")} == set(resolved.paths)


def test_a_lock_has_the_parts(registry):
    resolved = resolve(several(listed("a")), registry=registry)

    assert {"dataset.listed", "dataset.several"} <= {
        component.key for component in resolved.components
    }


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("listed", 'dataset.of[0]: expected a table, got "listed"'),
        ({}, "dataset.of[0].type: is missing; expected the name of a dataset"),
        ({"type": "listd"}, "dataset.of[0].type: no dataset is called 'listd'"),
        ({"type": "listed"}, "dataset.of[0].path: is missing"),
        (listed("a", wait=1), "dataset.of[0].wait: unknown key"),
        (listed("a", weight="x"), "dataset.of[0].weight: expected a number"),
    ],
)
def test_faults_name_the_key(registry, part, expected):
    with pytest.raises(ConfigError) as error:
        resolve(several(part), registry=registry)

    assert any(expected in problem for problem in error.value.problems), error.value


def test_values_of_parts_count_in_keys(registry):
    made = [
        training_key(resolve(several(part), registry=registry))
        for part in (listed("a"), listed("a", weight=2.0), listed("b"))
    ]

    assert 3 == len(set(made))


def test_where_the_data_is_known_paths_of_parts_do_not_count_and_all_else_does(registry):
    made = [
        training_key(resolve(several(part, other), registry=registry), "data")
        for part, other in (
            (listed("a"), listed("c")),
            (listed("b"), listed("d")),
            (listed("a", weight=2.0), listed("c")),
        )
    ]

    assert made[0] == made[1] != made[2]


def test_the_code_of_a_part_counts():
    """A checker that is written anew makes void what was measured by it."""
    values = {"metrics": [{"type": "nelbo"}, {"type": "checked", "checker": {"type": "sudoku"}}]}
    resolved = resolve(values)

    assert ["metric.nelbo", "metric.checked", "checker.sudoku"] == [
        component.key for component in keys._components(resolved, ["metrics"])
    ]


def test_the_json_schema_defines_each_kind_of_part_once(registry):
    schema = json_schema(registry)
    jsonschema.Draft4Validator.check_schema(schema)
    validator = jsonschema.Draft4Validator(schema)
    good = several(several(listed("a"))["dataset"], spare=listed("c"))

    assert validator.is_valid(good)
    for bad in (several({}), several("a"), several(listed("a", wait=1)), several({"type": "no"})):
        assert not validator.is_valid(bad), bad


def test_help_says_a_table():
    described = {attribute.name: attribute.type for attribute in describe_fields(Several)}

    assert {"of": "an array, of each a table", "spare": "a table"} == described
