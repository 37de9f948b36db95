"""Which level is tried first, and what follows."""

import pytest

from aios_core.config import resolve
from aios_core.errors import ConfigError, EvolutionError
from aios_plugins.evolution.router import route

pytest_plugins = ["aios_core.testing.fixtures"]

LADDER = ["l1-control", "l2-lora", "l3-unfreeze"]


def order(uncertainty, failed=(), **sections):
    config = resolve(sections).config
    return [choice.level.name for choice in route(config, lambda: uncertainty, failed)]


@pytest.mark.parametrize("uncertainty", [-5.0, 0.0, 9.0])
def test_a_ladder_begins_at_the_first_step(uncertainty):
    assert LADDER == order(uncertainty)


@pytest.mark.parametrize(("uncertainty", "first"), [(-1, 0), (0.9, 0), (1, 1), (2.9, 1), (3, 2)])
def test_size_of_uncertainty_decides_where_to_begin(uncertainty, first):
    assert LADDER[first:] == order(uncertainty, policy={"type": "uncertainty"})


def unasked():
    raise AssertionError("the ladder asks how unsure the model is; expected that it need not")


def test_what_failed_is_left_out_and_is_the_reason():
    config = resolve({}).config
    first, second = route(config, unasked, {"l1-control"})

    assert ("l2-lora", "l1-control did not pass the gate before") == (first.level.name, first.why)
    assert ("l3-unfreeze", "l2-lora did not pass the gate") == (second.level.name, second.why)
    assert () == route(config, unasked, set(LADDER))


def test_one_level_alone():
    assert ["l2-lora"] == order(9.0, evolution={"level": "l2-lora"})
    with pytest.raises(ConfigError, match=r"none of \[\[levels\]\]"):
        order(0.0, evolution={"level": "full"})


STRANGE = """
import aios_core
from attrs import frozen
from aios_core.contracts import EvolutionPolicy
from aios_core.contracts.policy import Choice

AIOS_API = 1

@frozen
class Last(EvolutionPolicy):
    def choose(self, situation):
        return [Choice(situation.levels[-1], "it is the last")]

@aios_core.hookimpl
def aios_evolution_policies():
    return {"last": Last}
"""


def test_a_third_party_s_policy_chooses_among_what_is_left(tmp_plugin):
    tmp_plugin(STRANGE, module="last")

    assert ["l3-unfreeze"] == order(0.0, policy={"type": "last"})
    with pytest.raises(EvolutionError, match=r"policy last of last 1\.0 chose 'l3-unfreeze'; exp"):
        order(0.0, {"l3-unfreeze"}, policy={"type": "last"})
