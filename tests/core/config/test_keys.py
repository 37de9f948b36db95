"""Keys: what makes a checkpoint or a measurement void, and what does not."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest

import aios_core
from aios_core.config import keys, resolve, training_key, trial_key, twin
from aios_core.registry import Registry

BASE = {"noise": {"type": "power", "k": 3.0}}


def changed(registry, **sections):
    """Which of the two keys a change voids."""
    before = resolve(BASE, registry=registry)
    after = resolve({**BASE, **sections}, registry=registry)
    return (training_key(before) != training_key(after), trial_key(before) != trial_key(after))


@pytest.mark.parametrize(
    ("sections", "voids"),
    [
        ({}, (False, False)),
        ({"noise": {"type": "power", "k": 3}}, (False, False)),
        ({"name": "other", "logging": {"json": True}}, (False, False)),
        ({"training": {"log_every": 1, "checkpoint_every": 7, "device": "cpu"}}, (False, False)),
        ({"seed": 1}, (True, True)),
        ({"noise": {"type": "power", "k": 2.0}}, (True, True)),
        ({"training": {"steps": 7}}, (True, True)),
        ({"diffusion": {"times": "iid"}}, (True, True)),
        ({"sampler": {"type": "ancestral", "steps": 3}}, (False, True)),
        ({"sampling": {"temperature": 0.5}}, (False, True)),
        ({"metrics": [{"type": "nelbo"}]}, (False, True)),
        ({"evaluation": {"twin_seed": 2}}, (False, True)),
    ],
)
def test_what_a_change_makes_void(registry, sections, voids):
    assert voids == changed(registry, **sections)


def test_a_twin_does_not_depend_on_the_noise(registry):
    twins = [
        twin(resolve({"seed": seed, "noise": noise, "diffusion": diffusion}, registry=registry))
        for seed, noise, diffusion in (
            (0, {"type": "loglinear"}, {}),
            (
                5,
                {"type": "power", "k": 9.0},
                {"times": "iid", "time_epsilon": 1e-5, "mask_rates": [0.3, 0.8]},
            ),
        )
    ]

    assert ["ar", "ar"] == [one.config.mode for one in twins]
    assert training_key(twins[0]) == training_key(twins[1])
    longer = resolve({**twins[0].values, "diffusion": {"length": 64}}, registry=registry)
    assert training_key(longer) != training_key(twins[0])


def test_a_fingerprint_of_the_data_stands_for_its_path(write):
    registry = Registry.discover()
    first, second = (
        resolve({"dataset": {"type": "file", "path": path}}, registry=registry) for path in "ab"
    )

    assert training_key(first) != training_key(second)
    assert training_key(first, "print") == training_key(second, "print")
    assert training_key(first, "print") != training_key(first, "other")


def test_a_version_counts_where_its_component_is_used(registry):
    def key(kind):
        newer = Registry.empty()
        for component in registry.components():
            version = "9" if component.kind == kind else component.version
            changed = attrs.evolve(component, version=version)
            newer._offers[component.kind, component.name].append(changed)
        return training_key(resolve(BASE, registry=newer))

    assert key("nothing") == key("sampler") == key("tracker")
    assert key("nothing") != key("noise")


def test_the_source_of_a_component_counts(tmp_path, monkeypatch, registry):
    monkeypatch.syspath_prepend(tmp_path)
    source = "from attrs import frozen\nfrom aios_core.contracts import NoiseScheduler\n"
    source += "@frozen\nclass Mine(NoiseScheduler):\n    def alpha(self, t): return 1 - t\n"

    def key(module):
        offer = aios_core.hookimpl(lambda: {"mine": f"{module}:Mine"})
        registry = Registry.discover(environ={})
        registry.add(SimpleNamespace(AIOS_API=1, aios_noise_schedulers=offer, __name__="mine"))
        keys._code.cache_clear()
        values = {"noise": {"type": "mine"}}
        for name in [name for name in sys.modules if name.startswith("key_")]:
            del sys.modules[name]
        return training_key(resolve(values, registry=registry))

    (tmp_path / "key_flat.py").write_text(source)
    package = tmp_path / "key_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mine.py").write_text(source)

    flat, inner = key("key_flat"), key("key_package.mine")
    assert flat == key("key_flat")
    (tmp_path / "key_flat.py").write_text(source + "# another\n")
    assert flat != key("key_flat")
    (package / "helper.py").write_text("")
    assert inner != key("key_package.mine")
    bare = tmp_path / "key_bare"  # a folder that is no package counts module by module
    bare.mkdir()
    (bare / "mine.py").write_text(source)
    alone = key("key_bare.mine")
    (bare / "helper.py").write_text("")
    assert alone == key("key_bare.mine")
    (bare / "mine.py").write_text(source + "# another\n")
    assert alone != key("key_bare.mine")


def test_plain_data_is_written_in_one_way():
    """By which keys of runs that were trained before are found again."""
    data = {"b": [1, 2.0, None, True], "a": {"é": "x y"}}

    assert '{"a":{"é":"x y"},"b":[1,2.0,null,true]}'.encode() == keys.canonical(data)


@pytest.mark.parametrize(
    ("module", "voids"),
    [
        ("contracts/noise.py", (True, True)),
        ("diffusion/objective.py", (True, True)),
        ("diffusion/constraints/tokens.py", (True, True)),
        ("memory/recall.py", (True, True)),
        ("training/learner.py", (True, True)),
        ("training/data.py", (True, True)),
        ("evolution/gate.py", (False, True)),
        ("experiment/evaluate.py", (False, True)),
        ("experiment/sampling.py", (False, True)),
        ("experiment/report.py", (False, False)),
        ("cli/run.py", (False, False)),
    ],
)
def test_the_code_of_the_core_counts(registry, tmp_path, monkeypatch, module, voids):
    """Section 5, config/keys.py: a change of what trains, or measures, in a copy of the core."""
    core = tmp_path / "aios_core"
    shutil.copytree(Path(aios_core.__file__).parent, core)
    monkeypatch.setattr(aios_core, "__file__", str(core / "__init__.py"))
    resolved = resolve(BASE, registry=registry)

    def forget():
        for one in vars(keys).values():
            if hasattr(one, "cache_clear"):
                one.cache_clear()

    def both():
        forget()
        return training_key(resolved), trial_key(resolved)

    before = both()
    with (core / module).open("a") as file:
        file.write("# another\n")
    after = both()
    forget()

    assert voids == tuple(one != other for one, other in zip(before, after, strict=True))


def test_code_is_hashed_by_content_and_by_place(tmp_path):
    """As many bytes of another text are other code; so is the same under another name."""
    found = set()
    for folder, name, text in (
        ("a", "one.py", "1 < 2"),
        ("b", "one.py", "1 > 2"),
        ("c", "two.py", "1 < 2"),
        ("d", "inner/one.py", "1 < 2"),
    ):
        place = tmp_path / folder / "code"
        (place / name).parent.mkdir(parents=True)
        (place / name).write_text(text)
        (place / "notes.txt").write_text(folder)
        found |= {keys._code(place), keys._code(place / name)}
    (tmp_path / "e" / "code").mkdir(parents=True)
    (tmp_path / "e" / "code" / "one.py").write_text("1 < 2")

    assert 4 + 3 == len(found), "a single file counts by its own name"
    assert keys._code(tmp_path / "e" / "code") == keys._code(tmp_path / "a" / "code")


def test_a_twin_does_not_depend_on_what_hides_tokens():
    """Nor on memories, which it is told of none of; but on all else that it learns by."""
    registry = Registry.discover()
    first, *others = (
        training_key(twin(resolve(values, registry=registry)))
        for values in (
            {},
            {"objective": {"type": "d3pm"}},
            {"corruption": {"type": "hybrid"}, "backbone": {"time_conditioned": True}},
            {"memory": {"k": 2, "store": "some", "dim": 8}},
            {"diffusion": {"block_size": 8}},
        )
    )
    plain = {"backbone": {"time_conditioned": True}}

    timed = training_key(twin(resolve(plain, registry=registry)))
    assert [first, timed, first, first] == others
    for values in ({"training": {"steps": 3}}, {"backbone": {"dim": 64}}, {"seed": 2}):
        one, other = (twin(resolve(v, registry=registry)) for v in ({}, values))
        assert (training_key(one) == training_key(other)) == (values == {"seed": 2})


def test_values_of_a_training_are_its_sections_and_their_pins(registry):
    values = resolve(BASE, registry=registry).values
    pins = {"noise.power": "one", "sampler.ancestral": "two", "backbone.transformer": "three"}
    found = keys.training_values({**values, "plugins": {"use": pins}})

    assert {"noise.power": "one", "backbone.transformer": "three"} == found["plugins"]["use"]
    assert {"noise", "backbone", "diffusion", "training", "seed"} <= found.keys()
    assert not {"sampler", "sampling", "metrics", "evaluation", "name"} & found.keys()
    assert {"use": {}} == keys.training_values(values)["plugins"]
