"""The default estimators of uncertainty, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_uncertainty_estimators() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "entropy": "aios_plugins.uncertainty.entropy:Entropy",
        "flips": "aios_plugins.uncertainty.flips:Flips",
        "margin": "aios_plugins.uncertainty.margin:Margin",
        "residual": "aios_plugins.uncertainty.residual:Residual",
    }
