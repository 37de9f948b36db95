"""One test class for each registered component, from the contract suite of its kind.

A test file collects them with one line::

    globals().update(contract_tests(Registry.discover()))
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from aios_core.component import resolve
from aios_core.contracts import Continuous, Vocabulary
from aios_core.errors import PluginError
from aios_core.registry import Registry

if TYPE_CHECKING:
    from aios_core.kinds import Kind
    from aios_core.registry import Component


def contract_tests(registry: Registry, distribution: str | None = None) -> dict[str, type]:
    """Test classes by name, as in ``Test_noise_cosine``.

    A component that cannot be loaded is a class whose only test fails; one that cannot be built
    from defaults (a field has none, or says in its metadata under ``needs`` which of several is
    required), or needs a server, is a class whose only test is skipped, for its author to
    subclass the suite.

    Args:
        registry: whose components are tested, also those in conflict.
        distribution: test what this one offers; None: everything.
    """
    classes: dict[str, type] = {}
    for component in registry.offers():
        if distribution in (None, component.distribution):
            name = f"Test_{component.kind}_{component.name.replace('-', '_')}"
            while name in classes:  # a conflict: both sides are tested
                name += "_"
            classes[name] = _contract_test(name, component, registry.kinds[component.kind])
    return classes


def suite(kind: Kind) -> type[Any] | None:
    """The contract suite of a kind: `NoiseContract` for noise; None: it has none."""
    if kind.suite is None:
        return None
    if (module := kind.suite.partition(":")[0]) not in sys.modules:
        pytest.register_assert_rewrite(module)  # failed asserts show the values on both sides
    tests: type[Any] = resolve(kind.suite)
    return tests


def _contract_test(name: str, component: Component, kind: Kind) -> type:
    try:
        cls = component.load()
    except PluginError as error:
        problem = str(error)

        def test_loads() -> None:
            pytest.fail(problem, pytrace=False)

        return type(name, (), {"key": component.key, "test_loads": staticmethod(test_loads)})
    fields = attrs.fields(cls)
    needs = [field.name for field in fields if field.default is attrs.NOTHING]
    needs += [field.metadata["needs"] for field in fields if "needs" in field.metadata]
    if not getattr(cls, "embedded", True):
        needs.append("a server")
    if needs:
        reason = f"{component.key} needs {', '.join(needs)}; subclass the contract with an instance"

        def test_contract() -> None:
            pytest.skip(reason)

        return type(name, (), {"key": component.key, "test_contract": staticmethod(test_contract)})
    if (tests := suite(kind)) is None:
        values = {"key": component.key, "test_loads": staticmethod(component.load)}
        return type(name, (), values)
    bases = [tests]
    if numbers := getattr(tests, "numbers", None):
        served = [tests] * (Vocabulary in cls.spaces)
        bases = [*served, resolve(numbers)] if Continuous in cls.spaces else served
    values = {"key": component.key, "component": cls, "__doc__": component.source}
    return type(name, tuple(bases), values)


def tokens(kind: str, registry: Registry | None = None) -> dict[str, type[Any]]:
    """Classes of the components of a kind that serve tokens, by name.

    Args:
        kind: one whose components say which ``spaces`` they serve.
        registry: unset: the installed ones.
    """
    registry = registry or Registry.discover()
    loaded = {component.name: component.load() for component in registry.components(kind)}
    return {name: cls for name, cls in loaded.items() if Vocabulary in cls.spaces}
