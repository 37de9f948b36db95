"""The default noise schedules, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_noise_schedulers() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "cosine": "aios_plugins.noise.cosine:Cosine",
        "cosine-mdlm": "aios_plugins.noise.cosine_mdlm:CosineMDLM",
        "cosine-squared": "aios_plugins.noise.cosine_squared:CosineSquared",
        "loglinear": "aios_plugins.noise.loglinear:LogLinear",
        "polynomial": "aios_plugins.noise.polynomial:Polynomial",
    }
