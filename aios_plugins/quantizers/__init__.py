"""The default quantizers, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_quantizers() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "arrow": "aios_plugins.quantizers.arrow:Arrow",
        "hqq": "aios_plugins.quantizers.hqq:Hqq",
        "none": "aios_plugins.quantizers.none:Keep",
        "rtn": "aios_plugins.quantizers.rtn:Rtn",
        "torchao": "aios_plugins.quantizers.torchao:TorchAo",
    }
