"""The default projection heads, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_projection_heads() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "linear": "aios_plugins.heads.linear:Linear",
        "patches": "aios_plugins.heads.patches:Patches",
        "text": "aios_plugins.heads.text:Text",
    }
