"""Changes of some columns, and what rows become by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from aios_core.contracts import checks
from aios_core.contracts.exact import BadValueError, from_arrow, from_values
from aios_core.contracts.records import Id, Metric, Rows, fitted, missing_column
from aios_core.errors import RowError, StorageError

if TYPE_CHECKING:
    import pyarrow as pa

    from aios_core.contracts.primitives import StorePrimitives


@frozen
class Changes:
    """Rows of which some columns are given."""

    schema: pa.Schema
    """Of the store."""
    given: dict[str, Any]
    """By column, an Arrow column or a list; the ids among them."""
    count: int
    absent: dict[str, list[int]]
    """Columns to the rows in which they are not given, where others have them."""

    @classmethod
    def of(cls, rows: Rows, schema: pa.Schema) -> Changes:
        """Changes as they are given.

        Raises:
            RowError: an id is missing or comes twice.
            StorageError: a column is foreign, or there is none besides the id.
        """
        import pyarrow as pa

        absent: dict[str, list[int]] = {}
        if isinstance(rows, pa.RecordBatch):
            rows = pa.Table.from_batches([rows])
        given: dict[str, Any]
        if isinstance(rows, pa.Table):
            given, count = dict(zip(rows.column_names, rows.columns, strict=True)), rows.num_rows
            if len(given) < rows.num_columns:
                raise StorageError(f"expected each column once, got {rows.column_names}")
        else:
            listed = list(rows)
            names = dict.fromkeys(name for row in listed for name in row)
            given = {name: [row.get(name) for row in listed] for name in names}
            count = len(listed)
            for name in names:
                if without := [at for at, row in enumerate(listed) if name not in row]:
                    absent[name] = without
        for name in given:
            if name not in schema.names:
                raise missing_column(name, schema.names)
        if count and (given.keys() <= {"id"} or "id" not in given):
            got = ", ".join(map(repr, given)) or "nothing"
            raise StorageError(f"update: expected 'id' and the columns that change, got {got}")
        return cls(schema, given, count, absent)

    def ids(self) -> list[Id]:
        """Of the rows, as the store has them.

        Raises:
            RowError: one is missing, of another type, or comes twice.
        """
        kind, column = self.schema.field("id").type, self.given["id"]
        try:
            array = (from_values if isinstance(column, list) else from_arrow)(column, kind)
            ids: list[Any] = array.to_pylist()
            if None not in ids:
                checks.ids(ids)
        except BadValueError as error:
            raise RowError(error.row or 0, None, f"column 'id': {error.what}") from None
        if None in ids:
            row = ids.index(None)
            raise RowError(row, None, "expected 'id', which every row needs, got none")
        return ids

    def write(self, store: StorePrimitives) -> int:
        """Change the rows of a store, in one commit; returns how many.

        Raises:
            RowError: as `ids` and `applied`.
        """
        if self.count:
            old = store.fetch_rows(self.ids(), store.schema.names)
            store.write_rows(self.applied(old, store.uri, store.metric), replace=True)
        return self.count

    def applied(self, old: pa.Table, uri: str, metric: Metric) -> pa.Table:
        """The whole rows.

        Args:
            old: what is there of them, with all columns of the store.
            uri: of the store.
            metric: of the store.

        Raises:
            RowError: a row is not there, or would not fit.
        """
        there, ids = old.column("id").to_pylist(), self.ids()
        if len(there) < len(ids):
            known = set(there)
            row = next(at for at, row_id in enumerate(ids) if row_id not in known)
            raise RowError(row, ids[row], f"is not in {uri}; nothing was changed (upsert adds)")
        whole = {name: old.column(name) for name in self.schema.names}
        for name, column in self.given.items():
            whole[name] = column
            if rows := self.absent.get(name):
                before, values = old.column(name), list(column)
                for row in rows:
                    values[row] = before[row].as_py()
                whole[name] = values
        return fitted(whole, self.count, self.schema, metric)


def check_values(values: Mapping[str, Any], schema: pa.Schema) -> None:
    """Whether rows may be given these values, before any row is looked for.

    Raises:
        StorageError: there is none, a column is foreign, or the id is among them.
    """
    for name in values:
        if name not in schema.names:
            raise missing_column(name, schema.names)
    if not values or "id" in values:
        raise StorageError(
            "update: expected values of columns other than 'id', which stays, got "
            f"{', '.join(map(repr, values)) or 'none'}"
        )
