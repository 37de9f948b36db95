"""The default projection heads, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_projection_heads() -> dict[str, str]:
    """Names and where they are defined."""
    return {"text": "aios_plugins.heads.text:Text"}
