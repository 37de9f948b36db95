"""The default schedules of the learning rate, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_lr_schedules() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "cosine": "aios_plugins.lr_schedules.cosine:Cosine",
        "wsd": "aios_plugins.lr_schedules.wsd:WarmupStableDecay",
    }
