"""Storage backends: where memories are kept, and found again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from attrs import field, frozen

from aios_core.contracts.records import Metric

if TYPE_CHECKING:
    import pyarrow as pa

    from aios_core.contracts.store import VectorStore

Capability: TypeAlias = Literal["approximate", "text", "text filters", "snapshot"]
"""What not every backend can do: search faster than exactly; search texts by BM25 over the words of
`aios_core.memory.words`, with the scores of `aios_core.memory.bm25`; filter texts by LIKE and by
order; write a copy of a store that can be restored."""


@frozen
class Stats:
    """What a store holds."""

    rows: int
    dim: int
    metric: Metric
    bytes: int | None
    """On disk; None where the backend cannot tell."""
    details: dict[str, Any] = field(factory=dict)
    """Whatever else the backend tells."""


class StorageBackend(ABC):
    """How to make and open stores of one kind.

    A backend promises in its docstring when a write is safe: `flush` and `close` make it so
    everywhere.

    **Threads.** Any number of threads use one store. Each call is whole: it sees a write of another
    thread wholly or not at all, and what returned is there for all that begin later. Who gives the
    batches of `to_batches` out between two calls of others may see what they wrote meanwhile. This
    holds for every backend, since one call runs at a time unless the backend is `concurrent`.

    **Processes.** A store belongs to the process that opened it. In a process that is forked from
    it the store can be read where the backend writes `reopen_storage`, which says what is seen
    there; writing is refused, closing there lets go of nothing that the parent has, and nothing
    waits for threads that do not exist. A child that writes opens the store itself, as any
    process does.
    """

    embedded: ClassVar[bool] = True
    """Whether a store is a folder of this machine, and needs no server."""
    schemes: ClassVar[frozenset[str] | None] = None
    """What may stand before ``://`` in the uri of a store, as in ``{"http", "https"}``; empty: its
    stores are folders alone; None: any, so that the backend itself refuses what it cannot use."""
    concurrent: ClassVar[bool] = False
    """Whether several threads may be inside the methods of one store at once."""
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    """What its stores can do; asking for anything else is an error that says so."""

    @abstractmethod
    def exists(self, uri: str) -> bool:
        """Whether there is a store.

        Raises:
            StorageError: it cannot be known.
        """

    @abstractmethod
    def create(self, uri: str, schema: pa.Schema, *, metric: Metric = "cosine") -> VectorStore:
        """Make an empty store.

        Args:
            uri: a folder that is empty or not there, or what a server calls the place.
            schema: as `aios_core.contracts.records.store_schema` makes it; its metadata is kept.
            metric: how near two vectors are.

        Raises:
            StorageError: something is there already, or no store can have this schema.
        """

    @abstractmethod
    def open(self, uri: str, *, read_only: bool = False) -> VectorStore:
        """Open a store that was created.

        Raises:
            StorageError: there is none, it is damaged, of a newer version, or another process
                writes to it.
        """
