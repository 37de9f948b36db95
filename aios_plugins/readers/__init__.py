"""The default readers of files, by suffix; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_file_readers() -> dict[str, str]:
    """Suffixes and where their readers are defined."""
    return {
        "arrow": "aios_plugins.readers.arrow:Arrow",
        "csv": "aios_plugins.readers.delimited:Delimited",
        "feather": "aios_plugins.readers.arrow:Arrow",
        "jsonl": "aios_plugins.readers.json_lines:JsonLines",
        "ndjson": "aios_plugins.readers.json_lines:JsonLines",
        "parquet": "aios_plugins.readers.parquet:Parquet",
        "tsv": "aios_plugins.readers.delimited:Delimited",
        "txt": "aios_plugins.readers.text:Text",
        "zip": "aios_plugins.readers.archive:Archive",
    }
