"""A package begun by ``aios plugins new`` passes its own tests, and ``check`` agrees."""

import os
import subprocess
import sys
import tomllib
from importlib import import_module

import pytest
from click.testing import CliRunner

from aios_core.cli import cli
from aios_core.kinds import KINDS


@pytest.fixture
def aios():
    """Run the command line in this process."""
    return lambda *arguments: CliRunner().invoke(cli, ["plugins", *arguments])


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_offers_what_it_is_named_for(aios, tmp_path, kind):
    folder = tmp_path / "aios-My_thing"
    done = aios("new", str(folder), "--kind", kind)
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    project = tomllib.loads(texts["pyproject.toml"])["project"]
    files = {"pyproject.toml", "README.md", "aios_my_thing.py", "test_aios_my_thing.py"}

    assert 0 == done.exit_code
    assert f"cd {folder}" in done.stdout
    assert f"aios plugins show {kind}.my-thing" in done.stdout
    assert files == set(texts)
    assert sum(len(text.splitlines()) for text in texts.values()) < 150
    assert {"aios_my_thing": "aios_my_thing"} == project["entry-points"]["aios.plugins"]
    assert_offers(texts["aios_my_thing.py"], kind, "my-thing", "MyThing")


def test_a_new_package_has_several_kinds(aios, tmp_path):
    """A module each, all of them registered, tested, and named in what is printed."""
    folder = tmp_path / "aios-my-pair"
    done = aios("new", str(folder), "--kind", "storage", "--kind", "sampler")
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    project = tomllib.loads(texts["pyproject.toml"])
    modules = ["aios_my_pair_storage", "aios_my_pair_sampler"]

    assert 0 == done.exit_code
    assert (
        "A storage backend and a sampler for ai-os-diffusion." == project["project"]["description"]
    )
    assert modules == project["tool"]["setuptools"]["py-modules"]
    assert (
        dict(zip(modules, modules, strict=True))
        == project["project"]["entry-points"]["aios.plugins"]
    )
    for kind in ("storage", "sampler"):
        assert_offers(texts[f"aios_my_pair_{kind}.py"], kind, "my-pair", "MyPair")
        assert f"aios plugins show {kind}.my-pair" in done.stdout
        assert f"aios plugins show {kind}.my-pair" in texts["README.md"]


@pytest.mark.parametrize("kinds", [["noise"], ["noise", "sampler"]])
def test_what_new_says_to_do_needs_no_index_with_ai_os_diffusion(aios, tmp_path, kinds):
    """The environment of aios has it; it is on no public index."""
    folder = tmp_path / "a folder" / "aios-my-thing"
    done = aios("new", str(folder), *(word for kind in kinds for word in ("--kind", kind)))
    readme = (folder / "README.md").read_text(encoding="utf-8")

    assert f"cd '{folder}'" in done.stdout
    for text in (done.stdout, readme):
        assert "in the environment of" in text.lower()
        assert "  pip install --no-deps -e .\n" in text
        assert "  aios plugins check aios-my-thing\n" in text


@pytest.mark.parametrize(
    ("name", "kind", "cls"),
    [
        ("2d", "noise", "Noise2D"),
        ("none", "sampler", "SamplerNone"),
        ("schedule", "executor", "ExecutorSchedule"),
        ("adaptation", "level", "LevelAdaptation"),
        ("tokenizer-error", "tokenizer", "TokenizerTokenizerError"),
        ("test-run", "tracker", "TrackerTestRun"),
        ("power", "head", "Power"),
        ("exactly", "storage", "Exactly"),
    ],
)
def test_a_class_hides_nothing_that_its_module_uses(aios, tmp_path, name, kind, cls):
    done = aios("new", str(tmp_path / f"aios-{name}"), "--kind", kind)
    module = f"aios_{name.replace('-', '_')}.py"

    assert 0 == done.exit_code
    assert_offers((tmp_path / f"aios-{name}" / module).read_text(), kind, name, cls)


def assert_offers(source, kind, name, cls):
    """The class is offered under the name, and the prose is that of the example."""
    space, example = {}, import_module(f"aios_core.scaffold.examples.{kind}")
    exec(compile(source, "module.py", "exec"), space)
    ((_, old),) = getattr(example, KINDS[kind].hook)().items()

    assert {name: space[cls]} == space[KINDS[kind].hook]()
    assert old.__doc__ == space[cls].__doc__
    assert example.__doc__ == space["__doc__"]


@pytest.mark.slow
def test_new_packages_pass_their_own_tests(aios, tmp_path):
    """Of each kind alone, under names that are also in use elsewhere, and of some in one."""
    for kind in KINDS:
        assert 0 == aios("new", str(tmp_path / f"aios-{kind}"), "--kind", kind).exit_code
    several = [word for kind in ("head", "noise", "storage") for word in ("--kind", kind)]
    assert 0 == aios("new", str(tmp_path / "aios-some-things"), *several).exit_code
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, check=False, env=environ, capture_output=True, text=True
    )

    assert 0 == done.returncode, done.stdout


def test_new_refuses_a_name_that_is_offered(aios, tmp_path):
    """And takes it when asked to, with a warning."""
    arguments = ("new", str(tmp_path / "aios-confidence"), "--kind", "noise", "--kind", "sampler")
    refused, made = aios(*arguments), aios(*arguments, "--allow-conflict")

    assert 2 == refused.exit_code
    assert "expected a name that no plugin offers, got 'confidence'" in refused.stderr
    assert "sampler.confidence is offered by ai-os-diffusion" in refused.stderr
    assert "noise.confidence" not in refused.stderr
    assert "--allow-conflict" in refused.stderr
    assert 0 == made.exit_code
    assert "warning: sampler.confidence is offered by ai-os-diffusion" in made.stderr
    assert "[plugins.use]" in made.stderr
    assert (tmp_path / "aios-confidence" / "aios_confidence_sampler.py").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("class", "class.py has a meaning of its own"),
        ("setup", "setup.py has a meaning of its own"),
        ("torch", "there is a module torch already"),
        ("json", "there is a module json already"),
        ("aios_core", "there is a module aios_core already"),
        ("AI-OS.diffusion", "ai-os-diffusion "),
    ],
)
def test_new_refuses_a_name_that_would_hide_something(aios, tmp_path, name, reason):
    done = aios("new", str(tmp_path / name))

    assert 2 == done.exit_code
    assert "expected a folder name of its own, such as 'aios-my-schedule'" in done.stderr
    assert reason in done.stderr
    assert not list(tmp_path.iterdir())


def test_new_refuses_a_kind_that_is_given_twice(aios, tmp_path):
    done = aios("new", str(tmp_path / "aios-my-thing"), "--kind", "noise", "--kind", "noise")

    assert 2 == done.exit_code
    assert "expected each kind once, got noise more than once" in done.stderr
    assert not list(tmp_path.iterdir())


def test_new_refuses_a_folder_that_holds_something(aios, tmp_path):
    (tmp_path / "precious.txt").write_text("text")
    done = aios("new", str(tmp_path))

    assert 2 == done.exit_code
    assert "is not empty; expected a new folder" in done.stderr
    assert ["precious.txt"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["1st", "ä", "-", "a b"])
def test_new_refuses_a_name_that_no_package_can_have(aios, tmp_path, name):
    done = aios("new", str(tmp_path / name))

    assert 2 == done.exit_code
    assert "cannot name a package" in done.stderr
    assert not list(tmp_path.iterdir())


def test_new_tells_when_it_cannot_write(aios, tmp_path):
    (tmp_path / "file").write_text("text")
    done = aios("new", str(tmp_path / "file" / "aios-thing"))

    assert 2 == done.exit_code
    assert "cannot write the package" in done.stderr


def test_check_knows_its_distributions(aios):
    done = aios("check", "ai-os-difusion")

    assert 2 == done.exit_code
    assert "did you mean 'ai-os-diffusion'?" in done.stderr


def test_check_says_which_extra_it_needs(aios, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = aios("check", "ai-os-diffusion")

    assert 2 == done.exit_code
    assert "pip install 'ai-os-diffusion[test]'" in done.stderr


@pytest.mark.slow
def test_check_passes_a_good_distribution_and_fails_a_bad_one(aios, tmp_plugin, capfd):
    tmp_plugin(GOOD, module="good", distribution="aios-good")
    tmp_plugin(GOOD.replace("1 - t", "t").replace("good", "bad"), module="bad")
    good, bad = aios("check", "AIOS_good"), aios("check", "bad")

    assert 0 == good.exit_code, capfd.readouterr().out
    assert "aios-good offers noise.good: all contracts kept" in good.stdout
    assert 1 == bad.exit_code
    assert "noise.bad breaks test_decreases: alpha rises somewhere" in bad.stdout
    assert "Traceback" not in bad.stdout
    assert "bad offers noise.bad: contracts are broken by noise.bad" in bad.stdout


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "importing crash raised ZeroDivisionError"),
        ("def", "raised SyntaxError"),
        ("import sys; sys.exit(0)", "raised SystemExit"),
        ("import aios_core", "AIOS_API"),
        ("GOOD", "'my_thing'"),
    ],
)
def test_check_never_says_that_what_was_not_loaded_keeps_contracts(
    aios, tmp_plugin, source, reason
):
    """Fault N15: the last line says that nothing was checked, the first ones why."""
    tmp_plugin(GOOD.replace('"good"', '"my_thing"') if source == "GOOD" else source, module="crash")
    done = aios("check", "crash")
    *reasons, last = done.stdout.splitlines()

    assert 1 == done.exit_code
    assert reason in "".join(reasons)
    assert "crash: not loaded, so nothing was checked" == last


@pytest.mark.slow
def test_check_says_that_a_class_cannot_be_used(aios, tmp_plugin):
    """Fault N15: in a line, under the name of the component."""
    tmp_plugin(GOOD.replace("@frozen", ""), module="thawed")
    done = aios("check", "thawed")

    assert 1 == done.exit_code
    assert "noise.good breaks test_loads: noise.good of thawed 1.0" in done.stdout
    assert "contracts kept" not in done.stdout


@pytest.mark.slow
def test_check_says_what_it_did_not_check(aios, tmp_plugin):
    """Fault N15: a component whose suite was skipped kept no contract."""
    tmp_plugin(GOOD.replace("@frozen\nclass Good(NoiseScheduler):", NEEDY), module="needy")
    done = aios("check", "needy")

    assert 0 == done.exit_code
    assert "noise.good was not held to test_contract: noise.good needs name" in done.stdout
    assert done.stdout.endswith("no contract was tried; not checked: noise.good\n")


@pytest.mark.slow
def test_check_tells_where_a_plugin_ends_the_process(aios, tmp_plugin):
    """Fault N15: no result is reported of suites that did not come to their end."""
    tmp_plugin(GOOD.replace("return 1 - t", "__import__('os')._exit(0)"), module="ends")
    done = aios("check", "ends")

    assert 1 == done.exit_code
    assert "the suites ended with exit code 0 in Test_noise_good::" in done.stdout
    assert "contracts kept" not in done.stdout


NEEDY = """
@frozen
class Good(NoiseScheduler):
    name: str
"""
GOOD = """
import aios_core
from attrs import frozen
from aios_core.contracts import NoiseScheduler

AIOS_API = 1

@frozen
class Good(NoiseScheduler):
    '''Straight.'''

    def alpha(self, t):
        return 1 - t

    def mask_rate(self, t):
        return t

@aios_core.hookimpl
def aios_noise_schedulers():
    return {"good": Good}
"""
