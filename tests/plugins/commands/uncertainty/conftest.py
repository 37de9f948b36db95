"""The run that the tests of uncertainty calibrate."""

import importlib.util
from pathlib import Path

_PATH = Path(__file__).parents[3] / "core" / "uncertainty" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("calibrated", _PATH)
_CALIBRATED = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_CALIBRATED)

globals().update(
    {name: value for name, value in vars(_CALIBRATED).items() if not name.startswith("__")}
)
