"""The default conditioners, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_conditioners() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "memory": "aios_plugins.conditioners.memory:Memory",
        "none": "aios_plugins.conditioners.none:Unconditioned",
    }
