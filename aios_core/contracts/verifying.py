"""Every row of a store, read back and looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios_core.contracts.records import Id, check_rows
from aios_core.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa

    from aios_core.contracts.primitives import StorePrimitives


def read_back(store: StorePrimitives) -> int:
    """Read all rows of one version of a store; returns how many there are.

    Raises:
        StorageError: at the first thing that is wrong.
    """
    import pyarrow as pa

    seen: set[Id] = set()
    with store.pin_rows() as version:
        for batch in version.scan_rows(store.schema.names, None):
            part = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
            if part.schema != store.schema:
                raise StorageError(
                    f"{store.uri}: expected rows with columns {_columns(store.schema)}, got "
                    f"{_columns(part.schema)}"
                )
            check_rows(part, store.metric)
            ids = part.column("id").to_pylist()
            if twice := seen.intersection(ids):
                raise StorageError(f"{store.uri}: id {min(twice, key=str)!r} is there twice")
            seen.update(ids)
        counted = version.count_rows(None)
    if len(seen) != counted:
        raise StorageError(f"{store.uri}: {len(seen)} rows can be read, {counted} are counted")
    return len(seen)


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{column.name}: {column.type}" for column in schema)
