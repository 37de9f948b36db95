"""The default executors, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_executors() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "processes": "aios_plugins.executors.processes:Processes",
        "serial": "aios_plugins.executors.serial:Serial",
    }
