"""The default evolution levels, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_evolution_levels() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "full": "aios_plugins.levels.unfreeze:Full",
        "l0-mixing": "aios_plugins.levels.mixing:Mixing",
        "l1-control": "aios_plugins.levels.control:Control",
        "l2-lora": "aios_plugins.levels.lora:Lora",
        "l3-unfreeze": "aios_plugins.levels.unfreeze:Unfreeze",
        "random-tensors": "aios_plugins.levels.unfreeze:Random",
    }
