"""The small ablation that the tests of experiments run."""

import importlib.util
from pathlib import Path

_PATH = Path(__file__).parents[3] / "core" / "experiment" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("ablations", _PATH)
_ABLATIONS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_ABLATIONS)

globals().update(
    {name: value for name, value in vars(_ABLATIONS).items() if not name.startswith("__")}
)
