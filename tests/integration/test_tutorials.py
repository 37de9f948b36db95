"""The tutorials run as they stand: their files are written, their commands typed, in order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted((ROOT / "examples" / "tutorials").glob("*.md"))

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Language, file name and text of each fenced block."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.fixture
def environment(tmp_path):
    """One of its own that sees all that is installed here, so that a tutorial may install."""
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    seen = [str(ROOT), *(path for path in sys.path if "site-packages" in path)]
    for old in (*site.glob("setuptools*"), *site.glob("*distutils*")):  # those here are newer
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    (site / "seen.pth").write_text("\n".join(seen))
    started = "from aios_core.cli import main\nif __name__ == '__main__':\n    main()\n"
    (folder / "bin" / "aios").write_text(f"#!{folder}/bin/python\n{started}")
    (folder / "bin" / "aios").chmod(0o755)
    return {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AIOS_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # setuptools is there: nothing is fetched
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs_as_it_stands(page, environment, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    commands = 0
    for language, name, text in blocks(page):
        if name:
            (folder / name).write_text(text)
            continue
        assert "console" == language, f"{language} without a title is not run"
        for line in text.splitlines():
            if line.startswith("$ "):
                done = subprocess.run(
                    line.removeprefix("$ "),
                    shell=True,
                    cwd=folder,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                commands += 1
                assert 0 == done.returncode, f"{line}\n{done.stdout}\n{done.stderr}"
    assert commands >= 4


def test_there_are_three():
    assert {"first_plugin", "swap_the_store", "first_ablation"} == {
        tutorial.stem for tutorial in TUTORIALS
    }
    for page in TUTORIALS:
        assert any(name for _, name, _ in blocks(page)), page
