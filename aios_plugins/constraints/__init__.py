"""The default constraints on texts, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_constraints() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "json-schema": "aios_plugins.constraints.json_schema:JsonSchema",
        "regex": "aios_plugins.constraints.regex:Regex",
    }
