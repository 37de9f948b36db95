"""The default optimizers, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_optimizers() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "adamw": "aios_plugins.optimizers.adamw:AdamW",
        "muon": "aios_plugins.optimizers.muon:Muon",
    }
