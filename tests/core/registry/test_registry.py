"""Look-up: conflicts, pins, switches, and what a miss says."""

import pytest

from aios_core.errors import PluginError
from aios_core.registry import Registry


def plugin(hook="aios_noise_schedulers", **offers):
    return (
        "import aios_core\nAIOS_API = 1\n"
        f"@aios_core.hookimpl\ndef {hook}():\n    return {offers!r}\n"
    )


@pytest.fixture
def two(tmp_plugin):
    """Two distributions that offer one name."""
    tmp_plugin(plugin(same="left:A", only="left:B"), module="left", distribution="aios-left")
    tmp_plugin(plugin(same="right:A"), module="right", distribution="aios_right", version="2.0")


@pytest.mark.usefixtures("two")
def test_a_name_offered_twice_is_an_error_that_shows_what_settles_it():
    registry = Registry.discover()

    with pytest.raises(PluginError) as caught:
        registry.get("noise", "same")

    message = str(caught.value)
    assert "aios-left 1.0 (entry point left)" in message
    assert "aios_right 2.0 (entry point right)" in message
    assert '[plugins.use]: "noise.same" = "aios-left"' in message
    assert '"noise.same" = "aios_right"' in message
    assert "left:B" == registry.get("noise", "only").reference
    assert "noise.same" in registry.conflicts
    assert "same" not in {c.name for c in registry.components("noise")}


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("spelling", ["aios_right", "AIOS-Right"])
def test_a_pin_settles_it(spelling):
    registry = Registry.discover(use={"noise.same": spelling})

    assert "right:A" == registry.get("noise", "same").reference
    assert not registry.conflicts
    assert "right:A" in {c.reference for c in registry.components("noise")}


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("key", "distribution", "message"),
    [
        ("noise.only", "aios-right", "aios-right.*does not offer it; aios-left does"),
        ("noise.nothing", "aios-left", "does not offer it; no plugin that loads does"),
        ("same", "aios-left", "cannot pin 'same'; expected kind.name"),
        (
            "noises.same",
            "aios-left",
            "cannot pin 'noises.same'; expected kind.name.*noise, .*sampler",
        ),
    ],
)
def test_a_pin_that_cannot_be_honoured_is_an_error(key, distribution, message):
    with pytest.raises(PluginError, match=message):
        Registry.discover(use={key: distribution})


@pytest.mark.usefixtures("two")
def test_all_bad_pins_are_told_at_once():
    with pytest.raises(PluginError, match=r"'noise\.x'.*\n.*'noise\.y'"):
        Registry.discover().pinned({"noise.x": "a", "noise.y": "b"})


@pytest.mark.usefixtures("two")
def test_pinning_leaves_the_original_alone():
    registry = Registry.discover()
    registry.pinned({"noise.same": "aios-left"})

    assert "noise.same" in registry.conflicts


def test_two_plugins_of_one_distribution_conflict_too(tmp_plugin):
    tmp_plugin(plugin(same="m:A"), module="m", entry_points={"one": "m", "two": "m"})

    with pytest.raises(PluginError, match="m must be mended, or one of them named in AIOS_DIS"):
        Registry.discover().get("noise", "same")
    disabled = Registry.discover(environ={"AIOS_DISABLE_PLUGINS": "one"})
    assert "two" == disabled.get("noise", "same").entry_point


def test_two_distributions_may_use_one_entry_point_name(tmp_plugin):
    tmp_plugin(plugin(a="m:A"), module="left", entry_points={"plugin": "left"})
    tmp_plugin(plugin(b="m:B"), module="right", entry_points={"plugin": "right"})
    registry = Registry.discover()

    assert "left" == registry.get("noise", "a").distribution
    assert "right" == registry.get("noise", "b").distribution


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("name", ["left", "aios-left", "AIOS_left", "nothing, aios.left ,"])
def test_a_disabled_plugin_is_no_failure(name):
    registry = Registry.discover(environ={"AIOS_DISABLE_PLUGINS": name})

    assert ["aios-left"] == [d.distribution for d in registry.disabled]
    assert "aios-left" not in {f.distribution for f in registry.failures}
    assert "right:A" == registry.get("noise", "same").reference
    with pytest.raises(PluginError, match=r"AIOS_DISABLE_PLUGINS blocks: aios-left 1\.0"):
        registry.get("noise", "only")


def test_a_blocked_name_that_fits_nothing_is_told(caplog):
    Registry.discover(environ={"AIOS_DISABLE_PLUGINS": "no-such-plugin"})

    assert "names no installed plugin: no-such-plugin" in caplog.text


@pytest.mark.usefixtures("two")
def test_strictness_raises_with_all_faults(tmp_plugin):
    tmp_plugin("1 / 0", module="broken")
    tmp_plugin("AIOS_API = 7", module="newer")

    with pytest.raises(PluginError) as caught:
        Registry.discover(environ={"AIOS_STRICT_PLUGINS": "1"})

    for part in ("broken 1.0", "ZeroDivisionError", "newer 1.0", "plugin API 7", "noise.same"):
        assert part in str(caught.value)


@pytest.mark.usefixtures("two")
def test_strictness_is_content_with_a_pinned_conflict():
    use = {"noise.same": "aios-left"}
    registry = Registry.discover(use=use, environ={"AIOS_STRICT_PLUGINS": "1"})

    assert "left:A" == registry.get("noise", "same").reference


def test_a_miss_lists_near_names_known_names_and_failures(tmp_plugin):
    tmp_plugin("1 / 0", module="broken")
    tmp_plugin(plugin(wavy="m:A", wavier="m:B"), module="waves")

    with pytest.raises(PluginError) as caught:
        Registry.discover().get("noise", "wavi")

    message = str(caught.value)
    assert "no noise is called 'wavi'; did you mean 'wavier' or 'wavy'? known: " in message
    assert "Plugins that failed to load:\n  broken 1.0 (entry point broken): " in message


def test_an_unknown_kind_is_told(registry):
    with pytest.raises(PluginError, match=r"no kind 'nois'; did you mean 'noise'"):
        registry.get("nois", "cosine")


@pytest.mark.usefixtures("two")
def test_discovery_is_idempotent():
    first, second = Registry.discover(), Registry.discover()

    assert first.components() == second.components()
    assert first.failures == second.failures


def test_components_are_sorted_whatever_the_order(registry):
    registry.add(_object({"b": "m:B", "a": "m:A"}), distribution="z")
    registry.add(_object({"c": "m:C"}), distribution="a")

    assert ["a", "b", "c"] == [c.name for c in registry.components("noise")]


def test_an_object_can_be_a_plugin(registry):
    registry.add(_object({"a": "m:A"}), distribution="d", version="3", name="p")

    component = registry.get("noise", "a")
    assert ("d", "3", "p") == (component.distribution, component.version, component.entry_point)


def _object(offers):
    import aios_core

    class Plugin:
        AIOS_API = 1

        @aios_core.hookimpl
        def aios_noise_schedulers(self):
            return offers

    return Plugin()
