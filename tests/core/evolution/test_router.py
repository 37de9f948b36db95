"""Which level is tried first, and what follows."""

import pytest

from aios_core.config import resolve
from aios_core.errors import ConfigError
from aios_core.evolution.router import route

LADDER = ["l1-control", "l2-lora", "l3-unfreeze"]


def order(uncertainty, failed=(), **evolution):
    config = resolve({"evolution": evolution}).config
    return [choice.level.name for choice in route(config, uncertainty, failed)]


@pytest.mark.parametrize("uncertainty", [-5.0, 0.0, 9.0])
def test_a_ladder_begins_at_the_first_step(uncertainty):
    assert LADDER == order(uncertainty)


@pytest.mark.parametrize(("uncertainty", "first"), [(-1, 0), (0.9, 0), (1, 1), (2.9, 1), (3, 2)])
def test_size_of_uncertainty_decides_where_to_begin(uncertainty, first):
    assert LADDER[first:] == order(uncertainty, policy="uncertainty")


def test_what_failed_is_left_out_and_is_the_reason():
    config = resolve({}).config
    first, second = route(config, 0.0, {"l1-control"})

    assert ("l2-lora", "l1-control did not pass the gate before") == (first.level.name, first.why)
    assert ("l3-unfreeze", "l2-lora did not pass the gate") == (second.level.name, second.why)
    assert [] == route(config, 0.0, set(LADDER))


def test_one_level_alone():
    assert ["l2-lora"] == order(9.0, level="l2-lora")
    with pytest.raises(ConfigError, match=r"none of \[\[levels\]\]"):
        order(0.0, level="full")
