"""Every module imports by itself, and what is promised to be light is."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import aios_core

ROOT = Path(aios_core.__file__).parent
HOUSE = ROOT.parent / "aios_plugins"
HEAVY = ("torch", "numpy", "pyarrow", "safetensors", "rich", "matplotlib", "tomli_w", "jinja2")
LIGHT = ("contracts", "config", "cli")
"""Folders of the core that import nothing heavy; the modules beside them do not either."""


def modules(root=ROOT):
    for path in sorted(root.rglob("*.py")):
        parts = (root.name, *path.relative_to(root).with_suffix("").parts)
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_light(module):
    parts = module.split(".")
    return (len(parts) < 3 and not (ROOT / parts[-1]).is_dir()) or parts[1] in LIGHT


def in_a_fresh_process(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("light", [True, False])
def test_every_module_imports(light):
    names = [name for name in modules() if is_light(name) == light]
    code = f"""
import importlib, json, sys
for name in {names}:
    importlib.import_module(name)
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""

    result = in_a_fresh_process(code)

    assert names
    assert not (light and result)


@pytest.mark.parametrize("package", ["aios_core.filters", "aios_plugins._grammar"])
def test_languages_need_no_torch(package):
    """Their automata and filters may be made of numpy and pyarrow, and of nothing heavier."""
    names = [name for root in (ROOT, HOUSE) for name in modules(root) if name.startswith(package)]
    code = f"""
import importlib, json, sys
for name in {names}:
    importlib.import_module(name)
print(json.dumps([name for name in ("torch", "scipy") if name in sys.modules]))
"""

    assert len(names) > 3
    assert [] == in_a_fresh_process(code)


@pytest.mark.parametrize("name", [name for name in modules() if is_light(name)])
def test_light_modules_import_nothing_heavy_at_the_top(name):
    path = ROOT.joinpath(*name.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tops = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            tops |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            tops.add(node.module.partition(".")[0])

    assert not tops & {*HEAVY, "aios_plugins"}


def test_one_process_loads_a_configuration_and_logs(tmp_path):
    """Imports, configuration and logging together, as a user meets them."""
    (tmp_path / "base.toml").write_text("[training]\nsteps = 3\n")
    (tmp_path / "run.toml").write_text("extends = 'base.toml'\n[logging]\nlevel = 'warning'\n")
    code = f"""
import json, logging
from pathlib import Path
from aios_core import logs
from aios_core.config import load, write_lock
folder = Path({str(tmp_path)!r})
logs.configure(environ={{}})
resolved = load(folder / "run.toml", overrides=["noise.type=cosine"])
logs.follow(resolved.config.logging)
with logs.to_file(folder / "run.log"):
    logging.getLogger("aios_core.test").info("begun")
write_lock(resolved, folder / "run.lock.toml", data={{}})
again = load(folder / "run.lock.toml")
print(json.dumps([again == resolved, again.values["training"]["steps"]]))
"""

    assert [True, 3] == in_a_fresh_process(code)
    assert "begun" == json.loads((tmp_path / "run.log").read_text())["message"]
