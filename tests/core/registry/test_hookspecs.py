"""Every hook's example is a plugin that works."""

import inspect
import textwrap
from types import ModuleType

import attrs
import pytest

from aios_core import hookspecs
from aios_core.kinds import KINDS
from aios_core.registry import Registry


def block(text):
    """The first code block of a docstring."""
    _, _, rest = inspect.cleandoc(text).partition("::\n\n")
    lines = rest.splitlines()
    end = next((i for i, line in enumerate(lines) if line and line[0] != " "), len(lines))
    return textwrap.dedent("\n".join(lines[:end]))


def test_there_is_a_hook_for_every_kind_and_no_other():
    hooks = {name for name in vars(hookspecs) if name.startswith("aios_")} - {"aios_core"}

    assert {kind.hook for kind in KINDS.values()} == hooks


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_the_example_is_a_plugin_whose_component_meets_its_contract(kind):
    plugin = ModuleType("example")
    source = block(hookspecs.__doc__) + "\n" + block(getattr(hookspecs, kind.hook).__doc__)
    exec(compile(source, "example", "exec"), vars(plugin))
    registry = Registry.empty()
    registry.add(plugin)

    (component,) = registry.components()

    assert not registry.failures
    assert kind.name == component.kind
    assert attrs.has(type(component.load()()))
