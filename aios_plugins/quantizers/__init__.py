"""The default quantizers."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_quantizers() -> dict[str, str]:
    """Names to components."""
    return {
        "hqq": "aios_plugins.quantizers.hqq:Hqq",
        "none": "aios_plugins.quantizers.none:Keep",
        "rtn": "aios_plugins.quantizers.rtn:Rtn",
        "torchao": "aios_plugins.quantizers.torchao:TorchAo",
    }
