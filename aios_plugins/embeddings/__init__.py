"""The embedding providers, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_embedding_providers() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "engine": "aios_plugins.embeddings.engine:Engine",
        "hashing": "aios_plugins.embeddings.hashing:Hashing",
        "sentence-transformers": "aios_plugins.embeddings.sentence:SentenceTransformers",
    }
