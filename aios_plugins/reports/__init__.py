"""The default reports, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_reports() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "html": "aios_plugins.reports.html:Html",
        "tables": "aios_plugins.reports.tables:Tables",
    }
