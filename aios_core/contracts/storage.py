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
"""What not every backend can do: search faster than exactly, search texts by BM25, filter texts by
LIKE and by order, write a copy of a store that can be restored."""


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
    """

    embedded: ClassVar[bool] = True
    """Whether a store is a folder of this machine, and needs no server."""
    schemes: ClassVar[frozenset[str] | None] = None
    """What may stand before ``://`` in the uri of a store, as in ``{"http", "https"}``; empty: its
    stores are folders alone; None: any, so that the backend itself refuses what it cannot use."""
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
