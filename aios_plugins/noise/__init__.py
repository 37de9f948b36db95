"""The default noise schedules, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_noise_schedulers() -> dict[str, str]:
    """Names and where they are defined."""
    return {}
