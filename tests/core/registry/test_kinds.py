"""A plugin brings a kind of its own, and all that follows from one row is there."""

from __future__ import annotations

import importlib
import json

import pytest
from click.testing import CliRunner

from aios_core.cli import cli
from aios_core.config import resolve, training_key, trial_key, trials
from aios_core.config.json_schema import json_schema
from aios_core.errors import ConfigError
from aios_core.registry import Registry
from aios_core.testing.conformance import contract_tests

KIND = '''
import aios_core
from aios_core.kinds import Kind
from attrs import frozen

AIOS_API = 1

@frozen
class Reranker:
    """Puts what was recalled in order."""

class RerankerContract:
    component = None
    def test_it_has_a_weight(self):
        assert self.component().weight > 0

@aios_core.hookimpl
def aios_kinds():
    return (
        Kind(
            "reranker",
            hook="aios_rerankers",
            contract="brings:Reranker",
            promise="Rerankers, which put what was recalled in order.",
            default="plain",
            affects="AFFECTS",
            suite="brings:RerankerContract",
            example="offers",
        ),
    )
'''

OFFERS = '''"""A reranker: by weight."""

import aios_core
from attrs import field, frozen, validators
from brings import Reranker

AIOS_API = 1

@frozen
class Plain(Reranker):
    """As it is."""

    weight: float = 1.0
    """Of the first."""

@frozen
class Other(Reranker):
    """Another."""

    weight: float = field(default=-1.0, validator=validators.lt(9))
    """Of the first."""

@aios_core.hookimpl
def aios_rerankers():
    return {"plain": Plain}
'''


WITHOUT = {"AIOS_DISABLE_PLUGINS": "brings"}


@pytest.fixture
def plugins(tmp_plugin):
    def write(affects="evaluation"):
        # The one that offers is asked first: its name comes before the other's.
        more = OFFERS.replace('{"plain": Plain}', '{"plain": Plain, "other": Other}')
        tmp_plugin(more, module="offers", distribution="aios-a-offers")
        tmp_plugin(KIND.replace("AFFECTS", affects), module="brings", distribution="aios-brings")
        return Registry.discover(environ={})

    return write


def test_a_configuration_has_its_section(plugins):
    registry = plugins()
    config = resolve({}, registry=registry).config
    other = resolve({"reranker": {"type": "other", "weight": 2}}, registry=registry).config

    assert not registry.failures
    assert 1.0 == config.reranker.weight
    assert 2.0 == other.reranker.weight
    assert {"reranker": "plain"}.items() <= registry.default_types.items()
    with pytest.raises(ConfigError, match=r"reranker\.weight: .*< 9"):
        resolve({"reranker": {"type": "other", "weight": 9}}, registry=registry)
    with pytest.raises(ConfigError, match="no reranker is called 'othr'; did you mean 'other'"):
        resolve({"reranker": {"type": "othr"}}, registry=registry)
    with pytest.raises(ConfigError, match="unknown section"):
        resolve({"reranker": {}}, registry=Registry.discover(environ=WITHOUT))


@pytest.mark.parametrize(
    ("affects", "voids"),
    [("training", (True, True)), ("evaluation", (False, True)), ("nothing", (False, False))],
)
def test_a_change_voids_what_its_row_says(plugins, affects, voids):
    registry = plugins(affects)
    first, other = (
        resolve({"reranker": {"weight": weight}}, registry=registry) for weight in (1.0, 2.0)
    )

    assert voids == (
        training_key(first) != training_key(other),
        trial_key(first) != trial_key(other),
    )


def test_it_varies_and_its_keys_go_with_its_type(plugins):
    registry = plugins()
    values = {"ablate": {"reranker.type": ["plain", "other"]}}
    results = [trial.resolved.config.reranker for trial in trials(values, registry=registry)]

    assert [("Plain", 1.0), ("Other", -1.0)] == [
        (type(each).__name__, each.weight) for each in results
    ]
    changed = resolve(
        {"reranker": {"weight": 3.0}}, overrides=["reranker.type=other"], registry=registry
    )
    assert -1.0 == changed.config.reranker.weight
    with pytest.raises(ConfigError, match="is written for 'plain', and 'other' would have -1"):
        trials({**values, "reranker": {"weight": 3.0}}, registry=registry)


def test_what_changes_nothing_cannot_vary(plugins):
    with pytest.raises(ConfigError, match="changes nothing that is measured"):
        trials({"ablate": {"reranker.type": ["plain", "other"]}}, registry=plugins("nothing"))


def test_editors_know_its_section(plugins):
    section = json_schema(plugins())["properties"]["reranker"]

    assert ["other", "plain"] == [each["title"] for each in section["anyOf"]]
    assert ["type"] == section["anyOf"][0]["required"], "the default needs no type"


def test_its_components_meet_its_contract(plugins):
    classes = contract_tests(plugins(), "aios-a-offers")

    classes["Test_reranker_plain"]().test_it_has_a_weight()
    with pytest.raises(AssertionError):
        classes["Test_reranker_other"]().test_it_has_a_weight()


def test_commands_list_it_and_begin_one(plugins, tmp_path):
    plugins()
    run = CliRunner().invoke
    listed = json.loads(run(cli, ["plugins", "list", "--json"]).stdout)["components"]
    made = run(cli, ["plugins", "new", str(tmp_path / "aios-mine"), "--kind", "reranker"])

    assert {"plain", "other"} == {each["name"] for each in listed if each["kind"] == "reranker"}
    assert 0 == made.exit_code, made.output
    test = (tmp_path / "aios-mine" / "test_aios_mine.py").read_text()
    assert "class Mine(Reranker):" in (tmp_path / "aios-mine" / "aios_mine.py").read_text()
    assert "from brings import RerankerContract" in test
    assert "class TestReranker(RerankerContract):\n    component = aios_mine.Mine" in test
    refused = run(cli, ["plugins", "new", str(tmp_path / "aios-x"), "--kind", "rerankers"])
    assert "reranker" in refused.stderr.partition("expected one of")[2]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"reranker"', '"noise"', "its name 'noise' is that of the kind 'noise'"),
        (
            "aios_rerankers",
            "aios_samplers",
            "its hook 'aios_samplers' is that of the kind 'sampler'",
        ),
        ('"reranker"', '"memory"', "a section 'memory' is there already"),
        ('"reranker"', '"Reranker"', "`name`: expected a name as in 'noise', got 'Reranker'"),
        ("return (", "return [1], (", "expected a tuple of aios_core.kinds.Kind"),
        ("@aios_core.hookimpl\ndef aios_kinds", "def aios_kinds", "is @hookimpl missing"),
    ],
)
def test_a_row_that_cannot_be_taken_is_a_failure(tmp_plugin, old, new, reason):
    tmp_plugin(KIND.replace("AFFECTS", "nothing").replace(old, new), module="brings")
    registry = Registry.discover(environ={})

    assert any(reason in failure.reason for failure in registry.failures), registry.failures
    assert "loglinear" == resolve({}, registry=registry).values["noise"]["type"]


def test_a_registry_that_is_filled_by_hand_takes_kinds(plugins):
    plugins()
    registry = Registry.empty()
    registry.add(importlib.import_module("brings"))
    registry.add(importlib.import_module("offers"))

    assert not registry.failures
    assert ["other", "plain"] == [component.name for component in registry.components("reranker")]
