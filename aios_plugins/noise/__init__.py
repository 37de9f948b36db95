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
        "cubic": "aios_plugins.noise.cubic:Cubic",
        "custom": "aios_plugins.noise.custom:Custom",
        "flow": "aios_plugins.noise.flow:Flow",
        "geometric": "aios_plugins.noise.geometric:Geometric",
        "learned": "aios_plugins.noise.learned:Learned",
        "linear-sigma": "aios_plugins.noise.linear_sigma:LinearSigma",
        "log": "aios_plugins.noise.log:Log",
        "loglinear": "aios_plugins.noise.loglinear:LogLinear",
        "md4-clipped": "aios_plugins.noise.md4_clipped:MD4Clipped",
        "polynomial": "aios_plugins.noise.polynomial:Polynomial",
    }
