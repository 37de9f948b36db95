"""The default policies of evolution, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_evolution_policies() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "ladder": "aios_plugins.policies.ladder:Ladder",
        "uncertainty": "aios_plugins.policies.uncertainty:Uncertainty",
    }
