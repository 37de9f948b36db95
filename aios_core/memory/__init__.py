"""Memories: stores opened by configuration, filled from files, moved between backends.

`indexed` and `folder` are for backends that wrap a library of vector indexes: they keep the rows,
the library finds the vectors.
"""

from aios_core.memory.embedding import Embedder
from aios_core.memory.migrate import migrate, target_of
from aios_core.memory.opening import embedder, open_store, with_embedding_metadata
from aios_core.memory.place import Place

__all__ = [
    "Embedder",
    "Place",
    "embedder",
    "migrate",
    "open_store",
    "target_of",
    "with_embedding_metadata",
]
