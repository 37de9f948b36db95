"""The collection of contract tests itself."""

import pytest

from aios_core.kinds import KINDS
from aios_core.testing.conformance import contract_tests, suite

OFFERS = """
import aios_core
from attrs import field, frozen
from aios_core.contracts import NoiseScheduler

AIOS_API = 1

@frozen
class Good(NoiseScheduler):
    def alpha(self, t):
        return 1 - t

@frozen
class Needy(Good):
    k: float

@aios_core.hookimpl
def aios_noise_schedulers():
    return {"good-one": Good, "needy": Needy, "broken": "no_such_module:Broken"}
"""


@pytest.fixture
def classes(registry, tmp_plugin):
    import importlib

    tmp_plugin(OFFERS, module="offers")
    plugin = importlib.import_module("offers")
    registry.add(plugin, distribution="one")
    registry.add(plugin, distribution="two")
    return contract_tests(registry, "one"), contract_tests(registry)


def test_a_component_gets_the_suite_of_its_kind(classes):
    own, both = classes

    assert {"Test_noise_good_one", "Test_noise_needy", "Test_noise_broken"} == set(own)
    assert 6 == len(both), "both sides of a conflict are tested"
    assert issubclass(own["Test_noise_good_one"], suite(KINDS["noise"]))


def test_a_component_that_cannot_be_loaded_fails(classes):
    with pytest.raises(pytest.fail.Exception, match="no_such_module is gone"):
        classes[0]["Test_noise_broken"]().test_loads()


def test_a_component_that_needs_values_is_skipped_with_a_reason(classes):
    with pytest.raises(pytest.skip.Exception, match=r"noise\.needy needs k"):
        classes[0]["Test_noise_needy"]().test_contract()
