"""The plugins that people begin with: there is one of each kind, and it meets its contract."""

import importlib

from aios_core.kinds import KINDS
from aios_core.registry import Registry
from aios_core.testing.conformance import contract_tests


def examples():
    registry = Registry.empty()
    for kind in KINDS:
        registry.add(importlib.import_module(f"aios_core.scaffold.examples.{kind}"))
    return registry


globals().update(contract_tests(examples()))


def test_there_is_one_of_each_kind():
    registry = examples()

    assert not registry.failures
    assert sorted(KINDS) == [component.kind for component in registry.components()]
