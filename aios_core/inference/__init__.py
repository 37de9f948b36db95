"""Using trained models: one engine for both modes, and what it is made of."""

from aios_core.inference.autoregressive import InferenceCore
from aios_core.inference.engine import ArrowEngine
from aios_core.inference.output import Output, Update
from aios_core.inference.settings import Settings

__all__ = [
    "ArrowEngine",
    "InferenceCore",
    "Output",
    "Settings",
    "Update",
]
