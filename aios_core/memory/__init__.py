"""Memories: stores opened by configuration, and vectors of texts, cached.

`indexed` and `folder` are for backends that wrap a library of vector indexes: they keep the rows,
the library finds the vectors.
"""

from aios_core.memory.embedding import Embedder
from aios_core.memory.opening import embedder, open_store, with_embedding_metadata
from aios_core.memory.place import Place

__all__ = [
    "Embedder",
    "Place",
    "embedder",
    "open_store",
    "with_embedding_metadata",
]
