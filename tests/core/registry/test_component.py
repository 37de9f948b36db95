"""What a reference must lead to; found out when it is used, and never before."""

import sys

import pytest

from aios_core.component import blamed
from aios_core.errors import PluginError
from aios_core.registry import Registry

CLASSES = """
import attrs
from attrs import define, frozen
from aios_core.contracts import NoiseScheduler

@frozen
class Good(NoiseScheduler):
    def alpha(self, t):
        return 1 - t

@define
class Mutable(NoiseScheduler):
    def alpha(self, t):
        return 1 - t

class Plain(NoiseScheduler):
    def alpha(self, t):
        return 1 - t

class Undecorated(Good):
    k: float = 2.0

@frozen
class Abstract(NoiseScheduler):
    pass

@frozen
class Stranger:
    def alpha(self, t):
        return 1 - t

number = 3
"""


@pytest.fixture
def load(tmp_plugin):
    """Load ``noise.x`` of a plugin that refers to something in a module of its own."""

    def load(reference, source=CLASSES):
        tmp_plugin(source, module="classes", entry_points={})
        offer = (
            "import aios_core\nAIOS_API = 1\n@aios_core.hookimpl\n"
            f"def aios_noise_schedulers(): return {{'x': {reference!r}}}"
        )
        tmp_plugin(offer, module="offer", distribution="aios-offer", version="0.4")
        component = Registry.discover().get("noise", "x")
        assert "classes" not in sys.modules
        return component.load()

    return load


def test_a_good_class_loads(load):
    assert "Good" == load("classes:Good").__name__


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("classes:Mutable", "Mutable is not a frozen attrs class; expected @attrs.frozen above it"),
        ("classes:Plain", "Plain is not a frozen attrs class"),
        ("classes:Undecorated", "Undecorated is not a frozen attrs class"),
        ("classes:Abstract", "Abstract does not write alpha of NoiseScheduler"),
        ("classes:Stranger", "Stranger does not subclass aios_core.contracts.noise.NoiseSched"),
        ("classes:number", "it is 3; expected a class"),
        ("classes:Nothing", "classes has no Nothing, named by 'classes:Nothing'"),
        ("classes:Good.Inner", "classes has no Good.Inner"),
        ("no_such_module:Good", "the module no_such_module is gone"),
    ],
)
def test_a_bad_reference_says_whose_it_is_and_what_is_wrong(load, reference, reason):
    with pytest.raises(PluginError) as caught:
        load(reference)

    assert f"noise.x of aios-offer 0.4 (entry point offer) cannot be used: {reason}" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", r"importing classes raised ZeroDivisionError: .*classes\.py:1"),
        ("import sys\nsys.exit(1)", "importing classes raised SystemExit: 1"),
        ("import no_such_thing", "importing classes needs the module no_such_thing"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told(load, source, reason):
    with pytest.raises(PluginError, match=reason):
        load("classes:Good", source)


def test_a_class_may_be_given_itself(registry):
    from types import ModuleType

    import aios_core

    plugin = ModuleType("plugin")
    exec(CLASSES, vars(plugin))
    plugin.AIOS_API = 1
    plugin.aios_noise_schedulers = aios_core.hookimpl(
        lambda: {"good": plugin.Good, "abstract": plugin.Abstract}
    )
    registry.add(plugin)

    assert plugin.Good is registry.get("noise", "good").load()
    with pytest.raises(PluginError, match="Abstract does not write alpha"):
        registry.get("noise", "abstract").load()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"),
        PluginError("of ours"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_component_is_blamed_for_want_of_memory_or_for_an_error_of_ours(error):
    with pytest.raises(type(error)) as caught, blamed(object(), "step"):
        raise error

    assert error is caught.value
    with (
        pytest.raises(PluginError, match=r"builtins\.object: step raised ValueError"),
        blamed(object(), "step"),
    ):
        raise ValueError("wrong")
