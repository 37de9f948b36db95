"""Two packages of third parties, built, and installed in a clean environment beside our wheel.

Only torch and its like are borrowed from the environment that runs the tests: a download would cost
minutes and prove nothing.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "aios-sigmoid-schedule": "noise.sigmoid",
    "aios-margin-sampler": "sampler.margin",
}

ABLATION = """
dataset = { type = "file", path = "corpus.txt" }
tokenizer = { type = "bytes" }
backbone = { dim = 32, layers = 1, heads = 2 }
diffusion = { length = 16 }
training = { steps = 4, batch_size = 4, warmup_steps = 2 }
sampling = { num_samples = 2 }
evaluation = { max_tokens = 200 }

[ablate]
"noise.type" = ["loglinear", "sigmoid"]
"sampler.type" = ["ancestral", "margin"]
"sampler.steps" = [4]
"""


def call(*command, cwd, **environ):
    """Run a command; its output is part of the message when it fails."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "AIOS_"))}
    bin_folder = sysconfig.get_path("scripts")  # where maturin is, for builds that look for it
    path = os.pathsep.join((bin_folder, os.environ["PATH"]))
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**inherited, "PATH": path, "OMP_NUM_THREADS": "1", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Our wheel, and those of the packages."""
    folder = tmp_path_factory.mktemp("wheels")
    # The profile of editable installs: the same code, and most of it is compiled already.
    maturin = (sys.executable, "-m", "maturin", "build", "--profile", "editable")
    call(*maturin, "--interpreter", sys.executable, "--out", folder, cwd=ROOT)
    for package in PACKAGES:
        source = tmp_path_factory.mktemp("source") / package  # a build leaves files in its tree
        shutil.copytree(ROOT / "examples" / package, source)
        pip = (sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps")
        call(*pip, "--no-index", "--wheel-dir", folder, source, cwd=folder)
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory, wheels):
    """The programs of an environment that has the wheels, and borrows what they need."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder)
    programs = folder / "bin"
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "install")
    call(*pip, "--no-deps", "--no-index", *wheels, cwd=folder)
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(call(programs / "python", "-c", purelib, cwd=folder).strip())
    # A path file adds the folder and not its path files: our editable install stays out.
    (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return programs


def test_the_wheel_is_what_runs(environment, tmp_path):
    code = "import aios_core, aios_plugins._native as n; print(aios_core.__file__, n.__file__)"
    files = call(environment / "python", "-c", code, cwd=tmp_path).split()

    assert all(Path(file).is_relative_to(environment.parent) for file in files)


def test_they_are_listed(environment, tmp_path):
    listing = json.loads(call(environment / "aios", "plugins", "list", "--json", cwd=tmp_path))

    assert [] == listing["failed"]
    result = {
        f"{component['kind']}.{component['name']}": component for component in listing["components"]
    }
    for package, key in PACKAGES.items():
        assert (package, "0.1.0", "ok") == tuple(
            result[key][field] for field in ("distribution", "version", "status")
        )


@pytest.mark.parametrize(("package", "key"), PACKAGES.items(), ids=PACKAGES)
def test_they_are_described_and_meet_their_contracts(environment, tmp_path, package, key):
    shown = json.loads(call(environment / "aios", "plugins", "show", key, "--json", cwd=tmp_path))
    checked = call(environment / "aios", "plugins", "check", package, cwd=tmp_path)

    assert shown["doc"]
    assert all(field["doc"] for field in shown["fields"])
    assert f"{package} offers {key}: all contracts kept" in checked


@pytest.mark.parametrize("package", PACKAGES)
def test_they_pass_their_own_tests(environment, tmp_path, package):
    tests = tmp_path / "tests"
    shutil.copytree(ROOT / "examples" / package / "tests", tests)
    pytest_ = (environment / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider")

    assert "passed" in call(*pytest_, tests, cwd=tmp_path)


def test_they_stand_in_the_table_beside_the_defaults(environment, tmp_path):
    (tmp_path / "corpus.txt").write_text("a corpus of a few words, again and again\n" * 100)
    (tmp_path / "ablation.toml").write_text(ABLATION)
    ablate = (environment / "aios", "ablate", "ablation.toml", "--output", "out")
    call(*ablate, cwd=tmp_path, AIOS_CACHE=str(tmp_path / "cache"))

    with (tmp_path / "out" / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    arms = {(row["noise.type"], row["sampler.type"]) for row in rows}
    expected = {(n, s) for n in ("loglinear", "sigmoid") for s in ("ancestral", "margin")}
    assert expected == arms
    assert all(row["twin_nll"] for row in rows)
    assert "sigmoid" in (tmp_path / "out" / "report.html").read_text("utf-8")
