"""The default backbones, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_backbones() -> dict[str, str]:
    """Names and where they are defined."""
    return {"transformer": "aios_plugins.backbones.transformer:Transformer"}
