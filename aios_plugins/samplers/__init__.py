"""The default samplers, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_samplers() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "analytic": "aios_plugins.samplers.analytic:Analytic",
        "ancestral": "aios_plugins.samplers.ancestral:Ancestral",
        "confidence": "aios_plugins.samplers.confidence:Confidence",
        "credit": "aios_plugins.samplers.credit:Credit",
        "ddim": "aios_plugins.samplers.ddim:DDIM",
        "dfm": "aios_plugins.samplers.dfm:DFM",
        "dpmpp-2m": "aios_plugins.samplers.dpmpp_2m:DPMpp2M",
        "entropy-bounded": "aios_plugins.samplers.entropy_bounded:EntropyBounded",
        "euler": "aios_plugins.samplers.euler:Euler",
        "factor": "aios_plugins.samplers.factor:Factor",
        "first-hitting": "aios_plugins.samplers.first_hitting:FirstHitting",
        "forward-backward": "aios_plugins.samplers.forward_backward:ForwardBackward",
        "heun": "aios_plugins.samplers.heun:Heun",
        "hierarchical": "aios_plugins.samplers.hierarchical:Hierarchical",
        "psi": "aios_plugins.samplers.psi:Psi",
        "remdm-cap": "aios_plugins.samplers.remdm:Cap",
        "remdm-conf": "aios_plugins.samplers.remdm:Conf",
        "remdm-loop": "aios_plugins.samplers.remdm:Loop",
        "remdm-rescale": "aios_plugins.samplers.remdm:Rescale",
        "threshold": "aios_plugins.samplers.threshold:Threshold",
    }
