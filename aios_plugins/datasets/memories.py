"""Texts of a vector store."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field, frozen, validators

from aios_core.contracts import Dataset
from aios_core.errors import DataError
from aios_core.memory import Place, open_store
from aios_core.redaction import without_password


@frozen
class Memories(Dataset):
    """Texts of a vector store: notes, feedback, or what a model was unsure of.

    In the order of their ids, so that the same rows give the same splits whatever backend keeps
    them; rows without a text are passed over.
    """

    store: str = field(validator=validators.and_(validators.min_len(1), without_password))
    """A folder, relative to the working directory, or TYPE:URI as in ``lancedb:notes``; without a
    password, since runs keep their configuration."""
    filter: str | None = None
    """Which rows, as in ``"kind = 'feedback' AND score > 0.5"``; unset: all."""

    def documents(self) -> Iterator[str]:
        """Every text.

        Raises:
            StorageError: the store cannot be read, or the filter is wrong.
            DataError: it keeps no texts.
        """
        with open_store(Place.of(self.store), read=True) as store:
            if "text" not in store.schema.names:
                raise DataError(
                    f"{self.store}: keeps vectors without texts; expected a column 'text'"
                )
            rows = [
                row
                for batch in store.to_batches(columns=["id", "text"], filter=self.filter)
                for row in zip(*(batch.column(c).to_pylist() for c in ("id", "text")), strict=True)
            ]
        yield from (text for _, text in sorted(rows, key=lambda row: row[0]) if text)
