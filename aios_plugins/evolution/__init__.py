"""The default evolution levels, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_evolution_levels() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "l2-lora": "aios_plugins.evolution.lora:Lora",
    }
