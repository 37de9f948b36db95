"""The adapter of ``examples/aios-langchain``, tested by its own tests beside the real LangChain."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_langchain_uses_our_stores(tmp_path):
    pytest.importorskip("langchain_core")
    package = ROOT / "examples" / "aios-langchain"
    paths = [str(package), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(package / "tests")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "16 passed" in done.stdout
