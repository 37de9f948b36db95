"""Every fault of a plugin is a record that names it, and costs nothing else."""

import re

import pytest

from aios_core.registry import Registry

GOOD = """
import aios_core
AIOS_API = 1

@aios_core.hookimpl
def aios_trackers():
    return {"good": "somewhere:Good"}
"""

HEAD = "import aios_core\nAIOS_API = 1\n"

FAULTS = {
    "exception": ("AIOS_API = 1\n1 / 0", r"ZeroDivisionError: .*\(.*faulty\.py:2\)"),
    "exit": ("import sys\nsys.exit('bye')", "SystemExit: bye"),
    "base-exception": ("class Panic(BaseException): ...\nraise Panic('native')", "Panic: native"),
    "syntax": ("AIOS_API = = 1", r"SyntaxError: .*faulty\.py, line 1"),
    "missing-module": (
        "import no_such_module_of_ours",
        "faulty needs the module no_such_module_of_ours, which is not installed",
    ),
    "no-api": (GOOD.replace("AIOS_API = 1", ""), "sets no AIOS_API; .* expected AIOS_API = 1"),
    "old-api": (GOOD.replace("= 1", "= 0"), "is built for plugin API 0; this core speaks 1"),
    "no-hook": ("AIOS_API = 1", "implements no hook; expected .* aios_samplers"),
    "misspelled": (
        HEAD + "@aios_core.hookimpl\ndef aios_samplrs(): return {}",
        r"implements aios_samplrs, .* did you mean aios_samplers\?",
    ),
    "unknown": (
        HEAD + "@aios_core.hookimpl\ndef aios_kettledrums(): return {}",
        "implements aios_kettledrums, which is not a hook; hooks: aios_datasets, ",
    ),
    "unmarked": (
        HEAD + "def aios_samplers(): return {}",
        r"defines aios_samplers but implements no hook with it; is @hookimpl missing\?",
    ),
    "unmarked-misspelled": (
        HEAD + "def aios_sampler(): return {}",
        r"defines aios_sampler \(did you mean aios_samplers\?\) .* is @hookimpl missing\?",
    ),
    "foreign": (
        HEAD + "import pluggy\n@pluggy.HookimplMarker('kedro')\ndef aios_samplers(): return {}",
        "aios_samplers carries the marker of the project 'kedro'; expected @aios_core.hookimpl",
    ),
    "argument": (
        HEAD + "@aios_core.hookimpl\ndef aios_samplers(config): return {}",
        r"hook 'aios_samplers'.* Argument\(s\) \{'config'\}",
    ),
    "wrapper": (
        HEAD + "@aios_core.hookimpl(wrapper=True)\ndef aios_samplers(): return (yield)",
        "wraps aios_samplers; expected a plain function",
    ),
    "raises": (
        HEAD + "@aios_core.hookimpl\ndef aios_samplers(): raise KeyError('x')",
        "aios_samplers raised KeyError: 'x'",
    ),
    "exits": (
        HEAD + "@aios_core.hookimpl\ndef aios_samplers(): raise SystemExit(3)",
        "aios_samplers raised SystemExit: 3",
    ),
    "list": (
        HEAD + "@aios_core.hookimpl\ndef aios_samplers(): return ['a']",
        r"aios_samplers returned \['a'\]; expected a dict",
    ),
    "none": (
        HEAD + "@aios_core.hookimpl\ndef aios_samplers(): pass",
        "aios_samplers returned None; expected a dict",
    ),
    "bad-value": (
        HEAD + "@aios_core.hookimpl\ndef aios_samplers(): return {'a': 3}",
        "aios_samplers offers 'a': refers to 3; expected a class or 'module:Class'",
    ),
    "bad-reference": (
        HEAD + "@aios_core.hookimpl\ndef aios_samplers(): return {'a': 'module.Class'}",
        "offers 'a': refers to 'module.Class'; expected a class or 'module:Class'",
    ),
    "bad-name": (
        HEAD + "@aios_core.hookimpl\ndef aios_samplers(): return {'My_Sampler': 'm:C'}",
        "offers 'My_Sampler': no legal name; expected lower-case letters",
    ),
    "name-no-text": (
        HEAD + "@aios_core.hookimpl\ndef aios_samplers(): return {1: 'm:C'}",
        "offers 1: no legal name",
    ),
}


@pytest.mark.parametrize(("source", "reason"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_recorded_and_the_rest_works(tmp_plugin, caplog, source, reason):
    tmp_plugin(source, module="faulty", distribution="aios-faulty", version="1.2")
    tmp_plugin(GOOD, module="good")

    registry = Registry.discover()

    (failure,) = [f for f in registry.failures if f.distribution == "aios-faulty"]
    assert ("1.2", "faulty") == (failure.version, failure.entry_point)
    assert re.search(reason, failure.reason, re.DOTALL)
    assert "\n" not in failure.reason
    assert "somewhere:Good" == registry.get("tracker", "good").reference
    assert 1 == sum("aios-faulty 1.2" in record.getMessage() for record in caplog.records)


def test_a_stale_entry_point_is_recorded(tmp_plugin):
    tmp_plugin(None, module="gone", entry_points={"old": "gone.deeper"})

    (failure,) = [f for f in Registry.discover().failures if f.distribution == "gone"]

    assert "old" == failure.entry_point
    assert "the module gone.deeper is gone" in failure.reason


def test_an_entry_point_that_is_no_module_is_recorded(tmp_plugin):
    tmp_plugin(GOOD, module="good", entry_points={"a": "good!", "b": "good:nothing", "c": "good"})

    registry = Registry.discover()

    reasons = {f.entry_point: f.reason for f in registry.failures if f.distribution == "good"}
    assert {"a", "b"} == set(reasons)
    assert "the entry point says 'good!'; expected a module" == reasons["a"]
    assert "good has no nothing" in reasons["b"]
    assert registry.get("tracker", "good")


def test_metadata_that_cannot_be_read_costs_its_distribution(tmp_plugin):
    tmp_plugin(GOOD, module="good")
    broken = tmp_plugin(GOOD, module="broken")
    (broken.parent / "broken-1.0.dist-info" / "entry_points.txt").write_bytes(
        b"[aios.plugins]\n\xff"
    )

    registry = Registry.discover()

    (failure,) = [f for f in registry.failures if f.distribution == "broken"]
    assert "entry_points.txt cannot be read" in failure.reason
    assert registry.get("tracker", "good")
    assert any(c.distribution == "ai-os-diffusion" for c in registry.components())


def test_a_distribution_without_a_name_is_recorded_as_unknown(tmp_plugin):
    path = tmp_plugin("1 / 0", module="nameless")
    (path.parent / "nameless-1.0.dist-info" / "METADATA").unlink()

    (failure,) = [f for f in Registry.discover().failures if f.entry_point == "nameless"]

    assert ("unknown", "unknown") == (failure.distribution, failure.version)


def test_a_faulty_hook_does_not_cost_the_other_hooks_of_its_plugin(tmp_plugin):
    source = GOOD + "@aios_core.hookimpl\ndef aios_samplers(): raise KeyError('x')"
    tmp_plugin(source, module="half")

    registry = Registry.discover()

    assert "half" == registry.get("tracker", "good").distribution
    assert ["half"] == [f.entry_point for f in registry.failures if f.distribution == "half"]


def test_an_interrupt_is_no_fault_of_the_plugin(tmp_plugin):
    tmp_plugin("raise KeyboardInterrupt", module="interrupted")

    with pytest.raises(KeyboardInterrupt):
        Registry.discover()
