"""The default corruptions, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_corruptions() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "absorbing": "aios_plugins.corruptions.absorbing:Absorbing",
        "gaussian": "aios_plugins.corruptions.gaussian:Gaussian",
        "hybrid": "aios_plugins.corruptions.hybrid:Hybrid",
        "uniform": "aios_plugins.corruptions.uniform:Uniform",
    }
