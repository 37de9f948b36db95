"""run.lock.toml: written, loaded again, and held against what is installed."""

import logging
import platform
import subprocess
import tomllib

import attrs
import pytest

from aios_core.config import load, write_lock
from aios_core.errors import ConfigError
from aios_core.registry import Registry


@pytest.fixture
def lock(registry, write, tmp_path):
    text = "seed = 3\ntraining.learning_rate = 1e-5\n[noise]\ntype = 'odd'\nneeded = 1\nfile = 'x'"
    resolved = load(write(text), registry=registry)
    path = tmp_path / "runs" / "run.lock.toml"
    path.parent.mkdir()
    write_lock(resolved, path, data={"fingerprint": "abc"})
    return path


def other(registry, **changes):
    """The same components from a distribution of another version."""
    fake = Registry.empty()
    for component in registry.components():
        changed = attrs.evolve(component, **changes)
        fake._offers[component.kind, component.name].append(changed)
    return fake


def test_a_lock_is_a_configuration_that_gives_the_same_values(registry, lock, tmp_path):
    again = load(lock, registry=registry)

    assert load(tmp_path / "run.toml", registry=registry) == again
    assert str(tmp_path / "x") == again.values["noise"]["file"]


def test_a_lock_records_what_the_values_do_not_say(lock):
    recorded = tomllib.loads(lock.read_text())["lock"]

    assert {"fingerprint": "abc"} == recorded["data"]
    assert 3 == recorded["seed"]
    assert platform.python_version() == recorded["versions"]["python"]
    assert {"torch", "numpy", "pyarrow", "ai-os-diffusion"} < set(recorded["versions"])
    assert {"distribution": "small-plugins", "version": "1.5", "api": 1} == recorded["components"][
        "noise.odd"
    ]


def test_a_lock_records_the_commit(registry, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    resolved = load(write(""), registry=registry)
    path = tmp_path / "run.lock.toml"

    write_lock(resolved, path, data={})
    assert "git" not in tomllib.loads(path.read_text())["lock"]

    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "run.toml"], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], check=True)
    write_lock(resolved, path, data={})
    git = tomllib.loads(path.read_text())["lock"]["git"]
    assert 40 == len(git["commit"])
    assert git["dirty"]


def test_another_version_of_a_plugin_is_refused_unless_allowed(registry, lock, caplog, held):
    newer = other(registry, version="2.0")

    with pytest.raises(ConfigError) as caught:
        load(lock, registry=newer)
    assert held == len(caught.value.problems), "what each kind says"
    (problem,) = [problem for problem in caught.value.problems if "noise.odd" in problem]
    assert "run.lock.toml:" in problem
    assert (
        "the run used small-plugins 1.5 (plugin API 1), installed is small-plugins 2.0" in problem
    )

    with caplog.at_level(logging.WARNING):
        load(lock, registry=newer, allow_changes=True)
    assert "small-plugins 2.0 (plugin API 1); install the former (allowed)" in caplog.text


def test_a_component_that_an_override_brings_needs_no_record(registry, lock):
    load(lock, overrides=["noise.type=power"], registry=registry)


def test_edits_and_overrides_are_logged(registry, lock, caplog):
    caplog.set_level(logging.INFO)
    load(lock, registry=registry)
    assert not caplog.records

    load(lock, overrides=["seed=4"], registry=registry)
    assert "changed by --set seed=4" in caplog.text
    assert "edited" not in caplog.text

    lock.write_text(lock.read_text().replace("seed = 3", "seed = 5", 1))
    assert 5 == load(lock, registry=registry).config.seed
    assert "was edited since its run wrote it" in caplog.text


def test_another_library_is_logged(registry, lock, caplog):
    text = lock.read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("torch = ")]
    lock.write_text(text.replace(line, 'torch = "0.1"'))

    load(lock, registry=registry)

    assert "torch was 0.1, now it is" in caplog.text


@pytest.mark.parametrize("damage", ["lock = 3\n", "[lock]\n", "[lock]\ncomponents = 3\n"])
def test_a_damaged_lock_is_an_error(registry, write, damage):
    with pytest.raises(ConfigError, match=r"run\.toml:1: lock: damaged"):
        load(write(damage), registry=registry)


def test_extending_a_lock_takes_its_values_alone(registry, lock, write):
    text = f"extends = '{lock.relative_to(lock.parent.parent)}'\nseed = 9"

    resolved = load(write(text, "more.toml"), registry=other(registry, version="2.0"))

    assert (9, 1e-5) == (resolved.config.seed, resolved.config.training.learning_rate)
