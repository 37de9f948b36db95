"""The default modalities, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_modalities() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "codes": "aios_plugins.modalities.codes:Codes",
        "mel": "aios_plugins.modalities.mel:Mel",
        "mulaw": "aios_plugins.modalities.mulaw:MuLaw",
        "pixels": "aios_plugins.modalities.pixels:Pixels",
        "text": "aios_plugins.modalities.text:Text",
    }
