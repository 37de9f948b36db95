"""Keys: what makes a checkpoint or a measurement void, and what does not."""

import ast
import importlib
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest

import aios_core
import aios_plugins
from aios_core.config import keys, meaning, resolve, training_key, trial_key, twin
from aios_core.errors import PluginError
from aios_core.registry import Registry
from aios_plugins import _native

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
        ({"training": {"evaluate_every": 7, "evaluate_windows": 9}}, (False, False)),
        ({"training": {"keep": "best"}}, (True, True)),
        ({"training": {"patience": 3}}, (True, True)),
        ({"diffusion": {"times": "iid"}}, (True, True)),
        ({"sampler": {"type": "ancestral", "steps": 3}}, (False, True)),
        ({"sampling": {"temperature": 0.5}}, (False, True)),
        ({"metrics": [{"type": "nelbo"}]}, (False, True)),
        ({"evaluation": {"twin_seed": 2}}, (False, True)),
    ],
)
def test_what_a_change_makes_void(registry, sections, voids):
    assert voids == changed(registry, **sections)


@pytest.mark.parametrize("chosen_by", [{"keep": "best"}, {"patience": 3}])
@pytest.mark.parametrize("other", [{"evaluate_every": 7}, {"evaluate_windows": 9}])
def test_how_losses_are_measured_counts_where_they_choose_the_weights(registry, chosen_by, other):
    first, second = (
        resolve({"training": {**chosen_by, **more}}, registry=registry) for more in ({}, other)
    )

    assert training_key(first) != training_key(second)


def test_differences_are_what_a_run_cannot_go_on_with():
    registry, changes = Registry.discover(), {"steps": 7, "patience": 3, "batch_size": 5}
    there = resolve({"noise": {"type": "cosine"}}, registry=registry)
    here = resolve({"training": changes, "sampler": {"steps": 3}}, registry=registry)

    assert keys.differences(there, there, "") == {}
    assert keys.differences(there, here, "") == {
        "noise.type": ("cosine", "loglinear"),
        "noise.eps": (None, 0.001),
        "training.batch_size": (32, 5),
    }


def test_differences_name_the_distribution_of_a_component(registry):
    other = Registry.empty()
    for component in registry.components():
        theirs = attrs.evolve(component, distribution="theirs")
        other._offers[component.kind, component.name].append(theirs)
    there, here = (resolve(BASE, registry=each) for each in (registry, other))
    result = keys.differences(there, here, "")

    assert result["plugins.use.noise.power"] == ("small-plugins", "theirs")
    assert {"plugins.use"} == {key.rpartition(".")[0].rpartition(".")[0] for key in result}
    assert not any("sampler" in key for key in result)


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

    assert ["ar", "ar"] == [twin.config.mode for twin in twins]
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


@pytest.mark.parametrize("distribution", ["theirs", keys.DISTRIBUTION])
def test_a_version_counts_where_a_component_of_another_distribution_is_used(registry, distribution):
    """What our own distribution computes is known by its sources, whatever its version."""

    def key(kind):
        newer = Registry.empty()
        for component in registry.components():
            version = "9" if component.kind == kind else component.version
            changed = attrs.evolve(component, version=version, distribution=distribution)
            newer._offers[component.kind, component.name].append(changed)
        return training_key(resolve(BASE, registry=newer))

    assert key("nothing") == key("sampler") == key("tracker")
    assert (key("nothing") == key("noise")) == (distribution == keys.DISTRIBUTION)


@pytest.fixture
def forget():
    """Forget what was read of sources before, now and afterwards."""

    def clear():
        importlib.invalidate_caches()
        for module in (keys, meaning):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()

    yield clear
    clear()


def test_the_source_of_a_component_counts(tmp_path, monkeypatch, forget):
    monkeypatch.syspath_prepend(tmp_path)
    source = "from attrs import frozen\nfrom aios_core.contracts import NoiseScheduler\n"
    source += "@frozen\nclass Mine(NoiseScheduler):\n    def alpha(self, t): return 1 - t\n"

    def key(module):
        offer = aios_core.hookimpl(lambda: {"mine": f"{module}:Mine"})
        registry = Registry.discover(environ={})
        registry.add(SimpleNamespace(AIOS_API=1, aios_noise_schedulers=offer, __name__="mine"))
        forget()
        values = {"noise": {"type": "mine"}}
        for name in [name for name in sys.modules if name.startswith("key_")]:
            del sys.modules[name]
        return training_key(resolve(values, registry=registry))

    (tmp_path / "key_flat.py").write_text(source)
    package = tmp_path / "key_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mine.py").write_text(source)
    bare = tmp_path / "key_bare"  # a folder that is no package
    bare.mkdir()
    (bare / "mine.py").write_text(source)

    flat = key("key_flat")
    assert flat == key("key_flat") == key("key_package.mine") == key("key_bare.mine")
    (tmp_path / "key_flat.py").write_text(source + "# another\n")
    assert flat == key("key_flat")
    (tmp_path / "key_flat.py").write_text(source.replace("1 - t", "1 - t * t"))
    assert flat != key("key_flat")
    for folder in (package, bare):
        (folder / "helper.py").write_text("RATE = 1\n")
        assert flat == key(f"{folder.name}.mine"), "nothing uses it"
        used = f"from {folder.name}.helper import RATE\n{source}".replace("1 - t", "RATE - t")
        (folder / "mine.py").write_text(used)
        before = key(f"{folder.name}.mine")
        (folder / "helper.py").write_text("RATE = 1.0\n")
        assert flat != before != key(f"{folder.name}.mine")


def test_libraries_count_by_their_first_two_numbers(registry, forget, monkeypatch):
    resolved, real = resolve(BASE, registry=registry), keys.version

    def key(**versions):
        monkeypatch.setattr(keys, "version", lambda name: versions.get(name) or real(name))
        forget()
        resolved.memo.counted.clear()
        return training_key(resolved)

    first = key(torch="2.15.0")
    assert first == key(torch="2.15.1+cu130") == key(torch="2.15.0", attrs="1", faiss="1")
    assert first != key(torch="2.16.0")
    assert key(torch="2.15.0", numpy="2.9.9") != key(torch="2.15.0", numpy="2.8.0")


def test_plain_data_is_written_in_one_way():
    """By which keys of runs that were trained before are found again."""
    data = {"b": [1, 2.0, None, True], "a": {"é": "x y"}}

    assert '{"a":{"é":"x y"},"b":[1,2.0,null,true]}'.encode() == keys.canonical(data)


@pytest.fixture
def core(tmp_path, monkeypatch):
    """A copy of the core, whose sources keys cover in its place."""
    copied = tmp_path / "aios_core"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(aios_core.__file__).parent, copied, ignore=ignored)
    monkeypatch.setattr(aios_core.__spec__, "submodule_search_locations", [str(copied)])
    return copied


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Likewise of the default plugins."""
    copied = tmp_path / "aios_plugins"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(aios_plugins.__file__).parent, copied, ignore=ignored)
    monkeypatch.setattr(aios_plugins.__spec__, "submodule_search_locations", [str(copied)])
    return copied


@pytest.fixture
def both(forget):
    """Both keys of a configuration, as the sources are now."""

    def computed(resolved):
        forget()
        resolved.memo.counted.clear()
        return training_key(resolved), trial_key(resolved)

    return computed


EVOLVED = {"metrics": [{"type": "evolution"}]}
REMINDED = {"conditioner": {"type": "memory", "k": 2, "store": "notes"}}


@pytest.mark.parametrize(
    ("module", "config", "voids"),
    [
        ("contracts/noise.py", {}, (True, True)),
        ("diffusion/objective.py", {}, (True, True)),
        ("diffusion/random.py", {}, (True, True)),
        ("memory/opening.py", REMINDED, (True, True)),
        ("training/learner.py", {}, (True, True)),
        ("training/data.py", {}, (True, True)),
        ("contracts/sampler.py", {}, (False, True)),
        ("diffusion/core.py", {}, (False, True)),
        ("experiment/evaluate.py", {}, (False, True)),
        ("experiment/sampling.py", {}, (False, True)),
        ("quantization/linear.py", {}, (False, True)),
        ("training/fitting.py", {}, (False, True)),  # levels use it
        ("training/history.py", {}, (False, True)),
        ("diffusion/constraints/tokens.py", {}, (False, False)),
        ("experiment/ablation.py", {}, (False, False)),
        ("experiment/reports.py", {}, (False, False)),
        ("training/checkpoint.py", {}, (False, False)),
        ("cli/run.py", {}, (False, False)),
    ],
)
def test_the_code_of_the_core_counts(core, both, module, config, voids):
    """Section 5, config/keys.py: what trains, or measures, and what a component uses."""
    resolved = resolve(config, registry=Registry.discover(environ={}))
    before = both(resolved)
    with (core / module).open("a") as file:
        file.write("ANOTHER = 1\n")

    assert voids == tuple(each != other for each, other in zip(before, both(resolved), strict=True))


@pytest.mark.parametrize(
    ("module", "config", "voids"),
    [
        ("evolution/gate.py", EVOLVED, (False, True)),
        ("evolution/proposal.py", {}, (False, False)),
        ("evolution/proposal.py", EVOLVED, (False, True)),
        ("evolution/router.py", EVOLVED, (False, False)),
    ],
)
def test_the_code_that_a_component_uses_counts(plugins, both, module, config, voids):
    resolved = resolve(config, registry=Registry.discover(environ={}))
    before = both(resolved)
    with (plugins / module).open("a") as file:
        file.write("ANOTHER = 1\n")

    assert voids == tuple(each != other for each, other in zip(before, both(resolved), strict=True))


def test_a_component_counts_where_its_section_does():
    """Evidence is of the kind of the data set, and decides no weights."""
    registry = Registry.discover(environ={})
    evidence = [{"type": "file", "path": "a"}]
    plain, with_evidence = (
        resolve(values, registry=registry) for values in ({}, {"evidence": evidence})
    )

    assert training_key(plain) == training_key(with_evidence)
    assert trial_key(plain) != trial_key(with_evidence)


def test_words_do_not_count(core, both):
    """Every file of the core is written anew, without a comment, and with other docstrings."""
    resolved = resolve(EVOLVED, registry=Registry.discover(environ={}))
    before = both(resolved)
    for file in core.rglob("*.py"):
        if "scaffold" not in file.parts:
            tree = ast.parse(file.read_text())
            file.write_text(f'"""Other words."""\n{ast.unparse(tree)}\n# and more\n')

    assert before == both(resolved)


def test_places_do_not_count(core, both):
    resolved = resolve({}, registry=Registry.discover(environ={}))
    before = both(resolved)
    (core / "training" / "deep").mkdir()
    (core / "diffusion" / "chunking.py").rename(core / "training" / "deep" / "chunks.py")
    changed = 0
    for file in core.rglob("*.py"):
        text = file.read_text()
        moved = text.replace("aios_core.diffusion.chunking", "aios_core.training.deep.chunks")
        changed += moved != text
        file.write_text(moved)

    assert changed > 1
    assert before == both(resolved)


def test_a_module_of_the_core_that_is_missing_is_an_error(core, both):
    (core / "diffusion" / "chunking.py").unlink()

    with pytest.raises(PluginError, match=r"aios_core\.diffusion\.chunking: .* got none"):
        both(resolve({}, registry=Registry.discover(environ={})))


def test_what_changes_nothing_is_there():
    """A module that was renamed would count under its new name."""
    for name in keys._CHANGES_NOTHING:
        assert meaning.exists(name), name
    for name in (*keys._TRAINS, *keys._MEASURES):
        assert meaning.exists(name), name


def test_a_kernel_counts_where_it_is_used(both, monkeypatch):
    """The tokenizer is compiled; so is the store of memories, which is not used here."""
    resolved = resolve({"tokenizer": {"type": "bpe"}}, registry=Registry.discover(environ={}))
    before = both(resolved)
    for name, counts in (("arrow_storage", False), ("fast_tokenizer", True)):
        module = getattr(_native, name)
        monkeypatch.setattr(module, meaning.SOURCE_DIGEST, "0" * 64, raising=False)
        after = both(resolved)
        assert [counts, counts] == [a != b for a, b in zip(before, after, strict=True)]


def test_a_twin_does_not_depend_on_what_hides_tokens():
    """Nor on memories, of which it is given none; but on all else that it learns by."""
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
        a, other = (twin(resolve(v, registry=registry)) for v in ({}, values))
        assert (training_key(a) == training_key(other)) == (values == {"seed": 2})


def test_values_of_a_training_are_its_sections_and_their_pins(registry):
    values = resolve(BASE, registry=registry).values
    pins = {"noise.power": "one", "sampler.ancestral": "two", "backbone.transformer": "three"}
    result = keys.training_values({**values, "plugins": {"use": pins}}, registry)

    assert {"noise.power": "one", "backbone.transformer": "three"} == result["plugins"]["use"]
    assert {"noise", "backbone", "diffusion", "training", "seed"} <= result.keys()
    assert not {"sampler", "sampling", "metrics", "evaluation", "name"} & result.keys()
    assert {"use": {}} == keys.training_values(values, registry)["plugins"]
