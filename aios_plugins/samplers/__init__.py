"""The default samplers, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_samplers() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "ancestral": "aios_plugins.samplers.ancestral:Ancestral",
        "confidence": "aios_plugins.samplers.confidence:Confidence",
        "first-hitting": "aios_plugins.samplers.first_hitting:FirstHitting",
    }
