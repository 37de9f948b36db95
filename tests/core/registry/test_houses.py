"""Deleting any one file of the default plugins breaks only what that file offered."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aios_core
import aios_plugins

CODE = """
import json, logging, os, sys
from pathlib import Path

logging.disable()
from aios_core.errors import PluginError
from aios_core.registry import Registry

house = Path(sys.argv[1])


def state():
    for name in [name for name in sys.modules if name.split(".")[0] == "aios_plugins"]:
        del sys.modules[name]
    registry = Registry.discover()
    loads = {}
    for one in registry.components():
        try:
            one.load()
        except PluginError:
            continue
        loads[one.key] = one.place.split(":")[0]
    return loads, len(registry.failures)


results = {"": state()}
for path in sorted(house.rglob("*.py")):
    if path != house / "__init__.py":
        text = path.read_bytes()
        path.unlink()
        results[str(path.relative_to(house.parent))] = state()
        path.write_bytes(text)
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """For each file that was deleted: which components still load, and from where."""
    root = tmp_path_factory.mktemp("house")
    original = Path(aios_plugins.__file__).parent
    house = root / "aios_plugins"
    shutil.copytree(original, house, ignore=shutil.ignore_patterns("__pycache__"))
    path = os.pathsep.join((str(root), str(Path(aios_core.__file__).parents[1])))
    environ = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", CODE, str(house)]
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, check=True, cwd=root
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_deleting_a_file_breaks_only_what_it_offered(states):
    everything, failures = states.pop("")

    assert failures == 0
    broken = {}
    for path, (loads, _) in states.items():
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        name = Path(path).name
        folder = module if name == "__init__.py" else module.rpartition(".")[0]
        # By the folder: it lists its files, or they use it; in the room of evolution all do.
        shared = name.startswith("_") or folder == "aios_plugins.evolution"
        if "._" in folder:  # all of it is shared
            shared, folder = True, "aios_plugins"
        offered = {
            key
            for key, place in everything.items()
            if f"{module}.".startswith(f"{place}.")  # it is a file, or a folder with this one in it
            or (shared and place.startswith(folder + "."))
        }
        if lost := set(everything) - offered - set(loads):
            broken[path] = lost
    assert {} == broken
