"""The default datasets, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_datasets() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "countdown": "aios_plugins.datasets.countdown:Countdown",
        "digits": "aios_plugins.datasets.digits:Digits",
        "file": "aios_plugins.datasets.file:File",
        "hf": "aios_plugins.datasets.hf:HuggingFace",
        "media": "aios_plugins.datasets.media:Media",
        "memories": "aios_plugins.datasets.memories:Memories",
        "mixture": "aios_plugins.datasets.mixture:Mixture",
        "python-docs": "aios_plugins.datasets.python_docs:PythonDocs",
        "rendered": "aios_plugins.datasets.rendered:Rendered",
        "sudoku": "aios_plugins.datasets.sudoku:Sudoku",
    }
