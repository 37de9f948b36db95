"""Rows that came from a file and are not in it any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field

from aios_core.errors import StorageError
from aios_core.filters.sql import literal

if TYPE_CHECKING:
    from aios_core.contracts import VectorStore
    from aios_core.contracts.reader import FileRow


@define
class Left:
    """Remembers what is in a file, and deletes what has the same sources and is not."""

    uri: str
    """Of the store."""
    _ids: dict[str, set[Any]] = field(factory=dict, init=False)
    """By source."""

    def keep(self, rows: Mapping[Any, FileRow]) -> None:
        """Remember rows by their ids.

        Raises:
            StorageError: one has no source.
        """
        for row_id, row in rows.items():
            source = row.values.get("source")
            if not isinstance(source, str):
                raise StorageError(
                    f"id {row_id!r}: expected a text under 'source', which says whose rows may go, "
                    f"got {source!r}"
                )
            self._ids.setdefault(source, set()).add(row_id)

    def drop(self, store: VectorStore) -> int:
        """Delete the others of these sources; returns how many."""
        gone = []
        for source, ids in self._ids.items():
            where = f"source = {literal(source)}"
            for batch in store.to_batches(columns=["id"], filter=where):
                gone += [row_id for row_id in batch["id"].to_pylist() if row_id not in ids]
        return store.delete(gone) if gone else 0
