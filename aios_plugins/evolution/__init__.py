"""The default evolution levels, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_evolution_levels() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "full": "aios_plugins.evolution.unfreeze:Full",
        "l0-mixing": "aios_plugins.evolution.mixing:Mixing",
        "l1-control": "aios_plugins.evolution.control:Control",
        "l2-lora": "aios_plugins.evolution.lora:Lora",
        "l3-unfreeze": "aios_plugins.evolution.unfreeze:Unfreeze",
        "random-tensors": "aios_plugins.evolution.unfreeze:Random",
    }
