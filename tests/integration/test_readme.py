"""README.md is true: its kinds are those that there are, and its commands run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aios_core.kinds import KINDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """Lines of consoles, without their comments."""
    blocks = re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+# .*$", "", line.removeprefix("$ ")) for line in lines]


def test_the_doors_are_the_kinds():
    (table,) = re.findall(r"^\| what a plugin can replace.*?\n\n", README, re.MULTILINE | re.DOTALL)

    assert sorted(KINDS) == sorted(re.findall(r"`(\w+)`", table.replace("`aios`", "")))


def test_the_make_targets_are_there():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"`?make (\w+)", README)

    assert {"demo", "test", "docs"} <= set(named) <= set(targets)


@pytest.mark.slow
def test_commands_run_as_they_stand(tmp_path):
    """In a folder that has the files of a fresh clone, in order."""
    for name in ("examples", "Cargo.lock", "README.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    started = "from aios_core.cli import main\nif __name__ == '__main__':\n    main()\n"
    (tmp_path / "bin").mkdir()
    aios = tmp_path / "bin" / "aios"
    aios.write_text(f"#!{sys.executable}\n{started}")
    aios.chmod(0o755)
    environ = {
        **os.environ,
        "PATH": f"{aios.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "AIOS_CACHE": str(tmp_path / "cache"),
    }
    run = [line for line in commands() if not line.startswith("make ")]
    assert len(run) > 15
    for command in run:
        # Five minutes of training show nothing here that some steps do not.
        line = command.replace("digits.toml", "digits.toml --set training.steps=30")
        done = subprocess.run(
            line,
            shell=True,
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == done.returncode, f"{line}\n{done.stdout}\n{done.stderr}"
