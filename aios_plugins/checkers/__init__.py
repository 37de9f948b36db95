"""The default checkers of samples, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_checkers() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "countdown": "aios_plugins.checkers.countdown:Countdown",
        "json": "aios_plugins.checkers.json:Json",
        "regex": "aios_plugins.checkers.regex:Regex",
        "sudoku": "aios_plugins.checkers.sudoku:Sudoku",
    }
