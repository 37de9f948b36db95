"""The default readers of files, by suffix; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_file_readers() -> dict[str, str]:
    """Suffixes and where their readers are defined."""
    return {
        "arrow": "aios_plugins.readers.arrow:Arrow",
        "bz2": "aios_plugins.readers.compressed:Bzip2",
        "csv": "aios_plugins.readers.delimited:Csv",
        "feather": "aios_plugins.readers.arrow:Arrow",
        "gz": "aios_plugins.readers.compressed:Gzip",
        "json": "aios_plugins.readers.json:Json",
        "jsonl": "aios_plugins.readers.json_lines:JsonLines",
        "md": "aios_plugins.readers.text:Text",
        "ndjson": "aios_plugins.readers.json_lines:JsonLines",
        "parquet": "aios_plugins.readers.parquet:Parquet",
        "rst": "aios_plugins.readers.text:Text",
        "tsv": "aios_plugins.readers.delimited:Tsv",
        "txt": "aios_plugins.readers.text:Text",
        "xz": "aios_plugins.readers.compressed:Xz",
        "zip": "aios_plugins.readers.archive:Archive",
        "zst": "aios_plugins.readers.compressed:Zstandard",
    }
