"""The storage backends, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_storage_backends() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "arrow": "aios_plugins.storage.arrow:Arrow",
        "faiss": "aios_plugins.storage.faiss:Faiss",
        "lancedb": "aios_plugins.storage.lancedb:LanceDb",
        "numpy": "aios_plugins.storage.numpy:Numpy",
        "pgvector": "aios_plugins.storage.pgvector:PgVector",
        "qdrant": "aios_plugins.storage.qdrant:Qdrant",
        "usearch": "aios_plugins.storage.usearch:Usearch",
    }
