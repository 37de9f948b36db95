"""The small core of ai-os-diffusion: hooks, contracts, registry, config, and what composes them.

Importing it is cheap (pluggy and nothing heavier), because every plugin module does so.
"""

from typing import Final

import pluggy

API_VERSION: Final = 1
"""The plugin API that this core speaks; a plugin module says ``AIOS_API = 1``."""

PROJECT: Final = "aios"
"""Name that pluggy markers carry."""

hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin module as an implementation of an ``aios_*`` hook."""

__all__ = ["API_VERSION", "PROJECT", "hookimpl"]
