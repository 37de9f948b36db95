"""An ablation runs where nothing that reports need is installed, and says which extra does."""

import os
import subprocess
import sys

import pytest

from aios_core.errors import MissingExtraError
from aios_core.testing.results import made_up
from aios_plugins.reports.html import Html
from aios_plugins.reports.tables import Tables

TOML = """
name = "tiny"
dataset = { type = "file", path = "corpus.txt" }
tokenizer = { type = "bytes" }
backbone = { dim = 16, layers = 1, heads = 2 }
diffusion = { length = 16 }
training = { steps = 2, batch_size = 2, warmup_steps = 1 }
sampling = { num_samples = 2 }
evaluation = { max_tokens = 200, draws = 1, twin = false }
executor = { type = "serial" }

[ablate]
"sampler.steps" = [1, 2]
seed = [0, 1]
"""

HIDDEN = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"jinja2", "matplotlib", "scipy", "markupsafe"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture
def bare(tmp_path):
    """A function that runs ``aios`` where these modules cannot be imported."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(HIDDEN)
    (tmp_path / "corpus.txt").write_text("ten bottles of milk on the wall\n" * 200)
    (tmp_path / "tiny.toml").write_text(TOML)
    path = os.pathsep.join(filter(None, (str(hidden), os.environ.get("PYTHONPATH"))))
    changes = {"PYTHONPATH": path, "AIOS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    code = "from aios_core.cli import main; main()"

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            env=os.environ | changes,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.slow
def test_an_ablation_needs_no_plotting_and_says_what_its_report_needs(bare, tmp_path):
    done = bare("ablate", "tiny.toml", "--output", "out")

    assert 0 == done.returncode, done.stderr
    first = done.stderr.splitlines()[0]  # before anything runs
    assert "the report 'html' needs the module 'jinja2', which is not installed" in first
    assert "pip install 'ai-os-diffusion[ablate]'" in first
    assert first.endswith("the ablation runs without it")
    assert "4 trials done, 0 failed" in done.stdout
    assert "±" in done.stdout, "intervals need no scipy"
    assert "report: out/table.md" in done.stdout
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"table.md", "table.csv", "trials.parquet"} <= files
    assert "report.html" not in files

    again = bare("report", "out")

    assert 2 == again.returncode
    assert "pip install 'ai-os-diffusion[ablate]'" in again.stderr
    assert "report: out/table.md" in again.stdout, "what can be written is"
    assert 0 == bare("report", "out", "--report", "tables").returncode


def test_a_page_is_refused_before_a_file_is_touched(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    results = made_up(tmp_path, {"base": [1.0], "other": [2.0]})

    with pytest.raises(MissingExtraError, match="'jinja2'"):
        Html().write(results)
    assert [] == list(tmp_path.iterdir())
    assert tmp_path / "table.md" == Tables().write(results)
