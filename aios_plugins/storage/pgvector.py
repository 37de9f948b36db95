"""PostgreSQL with the extension pgvector."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import numpy as np
from attrs import field, frozen, validators

from aios_core.contracts import Capability, Id, StorageBackend, VectorStore
from aios_core.contracts.primitives import id_taken
from aios_core.contracts.records import check_schema, score, vectors_of
from aios_core.errors import MissingExtraError, StorageError
from aios_core.filters import Expression, sql
from aios_core.filters.sql import quoted
from aios_core.redaction import redacted
from aios_plugins.storage._names import kept_names

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from aios_core.contracts.records import Metric

_TYPES: Final = {
    "string": 'text COLLATE "C"',
    "int64": "bigint",
    "double": "double precision",
    "bool": "boolean",
}
_OPERATORS: Final = {"cosine": "<=>", "dot": "<#>", "l2": "<->"}
_INDEX: Final = (
    "SELECT 1 FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
    "JOIN pg_am ON pg_am.oid = relam WHERE indrelid = %s::regclass AND amname = 'hnsw'"
)
_CLASSES: Final = {"cosine": "vector_cosine_ops", "dot": "vector_ip_ops", "l2": "vector_l2_ops"}

_PARENTS: Final[list[Any]] = []
"""In a forked process: connections of its parent, which must not be dropped here."""


@frozen
class PgVector(StorageBackend):
    """A table of PostgreSQL: ``postgresql://user@host/database?table=notes`` (extra ``pgvector``).

    A write is a transaction, as safe as the server's ``synchronous_commit`` makes it. Any number of
    processes read and write. The extension is created where it is not there yet.
    """

    embedded: ClassVar[bool] = False
    schemes: ClassVar[frozenset[str]] = frozenset({"postgresql", "postgres"})
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"approximate", "text filters"})
    index_rows: int = field(default=10_000, validator=[validators.ge(1), validators.le(2**31 - 1)])
    """Rows from which on `compact` makes an index (HNSW) for approximate search."""
    ef_search: int = field(default=64, validator=[validators.ge(1), validators.le(1000)])
    """Candidates kept by an approximate search; more find more."""

    def exists(self, uri: str) -> bool:
        """Whether the table is there."""
        with _connect(uri) as (connection, table):
            return _comment(connection, table) is not None

    def create(self, uri: str, schema: pa.Schema, *, metric: Metric = "cosine") -> VectorStore:
        """Make the table; its comment holds the schema."""
        dim = check_schema(schema).field("vector").type.list_size
        names = kept_names(schema)
        columns = [
            f"{quoted(names[column.name])} "
            + (f"vector({dim})" if column.name == "vector" else _TYPES[str(column.type)])
            + (" PRIMARY KEY" if column.name == "id" else "" if column.nullable else " NOT NULL")
            for column in schema
        ]
        raw = base64.b64encode(schema.serialize()).decode()
        kept = {"schema": raw, "metric": metric, "columns": names}
        with _connect(uri) as (connection, table), connection.transaction():
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            connection.execute(f"CREATE TABLE {quoted(table)} ({', '.join(columns)})")
            comment = json.dumps(kept).replace("'", "''")
            connection.execute(f"COMMENT ON TABLE {quoted(table)} IS '{comment}'")
        return self.open(uri)

    def open(self, uri: str, *, read_only: bool = False) -> VectorStore:
        """Open the table."""
        import pyarrow as pa

        with _connect(uri) as (connection, table):
            comment = _comment(connection, table)
        if comment is None:
            raise StorageError(f"{uri} is not a store: there is no table {table!r}")
        try:
            kept = json.loads(comment)
            metric = kept["metric"]
            raw = base64.b64decode(kept["schema"])
            schema = check_schema(pa.ipc.read_schema(pa.py_buffer(raw)))
            # An earlier version kept all columns by their own names.
            columns = kept.get("columns") or {name: name for name in schema.names}
            names = {name: columns[name] for name in schema.names}
        except (ValueError, KeyError, TypeError, OSError, pa.ArrowException):
            raise StorageError(f"{uri} was not made as a store: no schema in it") from None
        return _PgStore(self, uri, schema, metric, names, read_only=read_only)


def _place(uri: str) -> tuple[str, str]:
    """What libpq connects to, and the name of the table."""
    parts = urlsplit(uri)
    query = dict(parse_qsl(parts.query))
    table = query.pop("table", "")
    if (size := len(table.encode(errors="replace"))) > 63:
        raise StorageError(
            f"{uri}: expected a name of a table of at most 63 bytes, got one of {size}, "
            "which PostgreSQL would cut to that of another"
        )
    if parts.scheme not in ("postgresql", "postgres") or not table or "\0" in uri:
        raise StorageError(
            f"{uri} is not a place for pgvector; expected postgresql://user@host/database?table=notes"
        )
    return urlunsplit(parts._replace(query=urlencode(query))), table


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """What PostgreSQL raises, as our error."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        text = redacted(" ".join(str(error).split()), uri=uri)  # libpq quotes parts of the URI
        raise StorageError(f"{uri}: PostgreSQL says: {text}") from None


def _open(uri: str) -> tuple[Any, str]:
    try:
        import psycopg
    except ImportError as error:
        raise MissingExtraError("storage.type = 'pgvector'", "pgvector", "psycopg") from error
    target, table = _place(uri)
    with _translated(uri):
        return psycopg.connect(target, autocommit=True), table


@contextmanager
def _connect(uri: str) -> Iterator[tuple[Any, str]]:
    connection, table = _open(uri)
    with _translated(uri), connection:
        yield connection, table


def _comment(connection: Any, table: str) -> str | None:
    """What stands beside a table; None where there is none."""
    row = connection.execute(
        "SELECT coalesce(obj_description(to_regclass(%s), 'pg_class'), '') "
        "WHERE to_regclass(%s) IS NOT NULL",
        (quoted(table), quoted(table)),
    ).fetchone()
    return row[0] if row else None


class _PgStore(VectorStore):
    backend: PgVector

    def __init__(self, *arguments: Any, read_only: bool = False) -> None:
        *common, self._names = arguments
        super().__init__(*common, read_only=read_only)
        self._connection, name = _open(self.uri)
        self._place, self.uri = self.uri, redacted(self.uri)
        self._table_name, self._name = quoted(name), _escaped(quoted(name))
        self._pin = False
        if read_only:
            self._connection.read_only = True

    def _run(self, text: str, values: Sequence[Any] = ()) -> Any:
        with _translated(self.uri):
            return self._connection.execute(text, values)

    def write_rows(self, rows: pa.Table, *, replace: bool) -> None:
        names = [self._column(name) for name in rows.column_names]
        listed, updates = ", ".join(names), ", ".join(f"{n} = excluded.{n}" for n in names)
        columns: list[Any] = [
            map(_text, vectors_of(rows)) if name == "vector" else rows.column(name).to_pylist()
            for name in rows.column_names
        ]
        with _translated(self.uri), self._connection.transaction():
            made = f"CREATE TEMP TABLE staged (LIKE {self._name}) ON COMMIT DROP"
            self._connection.execute(made, ())
            with self._connection.cursor().copy(f"COPY staged ({listed}) FROM STDIN", ()) as copy:
                for row in zip(*columns, strict=True):
                    copy.write_row(row)
            if not replace:
                known = self._connection.execute(
                    f"SELECT id FROM {self._name} JOIN staged USING (id) LIMIT 1", ()
                ).fetchone()
                if known:
                    raise id_taken(self, known[0])
            conflict = f" ON CONFLICT (id) DO UPDATE SET {updates}" if replace else ""
            self._connection.execute(
                f"INSERT INTO {self._name} ({listed}) SELECT {listed} FROM staged{conflict}", ()
            )

    def remove_rows(self, ids: Sequence[Id]) -> int:
        cursor = self._run(f"DELETE FROM {self._name} WHERE id = ANY(%s)", (list(ids),))
        return int(cursor.rowcount)

    def remove_where(self, where: Expression) -> int:
        chosen, values = self._where(where)
        return int(self._run(f"DELETE FROM {self._name}{chosen}", values).rowcount)

    def fetch_rows(self, ids: Sequence[Id], columns: Sequence[str]) -> pa.Table:
        asked = list(dict.fromkeys([*columns, "id"]))
        text = f"SELECT {self._select(asked)} FROM {self._name} WHERE id = ANY(%s)"
        at = asked.index("id")
        rows = {row[at]: row for row in self._run(text, (list(ids),)).fetchall()}
        return self._table([rows[key] for key in ids if key in rows], asked).select(columns)

    def nearest_rows(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Expression | None,
        exact: bool | None,
        columns: Sequence[str],
    ) -> list[pa.Table]:
        import pyarrow as pa

        chosen, values = self._where(where)
        near = f"vector {_OPERATORS[self.metric]} %s::vector"
        asked = f"{self._select(columns)}, {near}" if columns else near
        text = f"SELECT {asked} FROM {self._name}{chosen} ORDER BY {near} LIMIT {k}"
        tables = []
        with _translated(self.uri), self._connection.transaction():
            settings = (
                {"enable_indexscan": "off"}
                if exact
                else {
                    "hnsw.ef_search": str(min(1000, max(k, self.backend.ef_search))),
                    "hnsw.iterative_scan": "strict_order",  # or a narrow filter finds fewer than k
                }
            )
            for name, value in settings.items():
                self._connection.execute("SELECT set_config(%s, %s, true)", (name, value))
            for query in map(_text, queries):
                answer = self._connection.execute(text, (query, *values, query)).fetchall()
                table = self._table([row[:-1] for row in answer], columns)
                raw = np.array([row[-1] for row in answer], np.float64)
                scores = score(self.metric, raw).astype(np.float32)
                tables.append(table.append_column("_score", pa.array(scores)))
        return tables

    def scan_rows(self, columns: Sequence[str], where: Expression | None) -> Iterator[pa.Table]:
        chosen, values = self._where(where)
        text = f"SELECT {self._select(columns)} FROM {self._name}{chosen}"
        # Calls that come between two pieces are not part of the transaction that a scan needs.
        with (
            _translated(self.uri),
            self._apart() as connection,
            connection.transaction(),
            connection.cursor("scan") as cursor,
        ):
            cursor.execute(text, values)
            while rows := cursor.fetchmany(2000):
                yield self._table(rows, columns)

    @contextmanager
    def _apart(self) -> Iterator[Any]:
        if self._pin:
            yield self._connection
        else:
            with _connect(self._place) as (connection, _):
                yield connection

    @contextmanager
    def hold_rows(self) -> Iterator[None]:
        with _translated(self.uri), self._connection.transaction():
            self._connection.execute(f"LOCK TABLE {self._name} IN SHARE ROW EXCLUSIVE MODE", ())
            yield

    @contextmanager
    def pin_rows(self) -> Iterator[_PgStore]:
        from psycopg import IsolationLevel

        version = _PgStore(
            self.backend, self._place, self.schema, self.metric, self._names, read_only=True
        )
        version._pin = True
        version._connection.isolation_level = IsolationLevel.REPEATABLE_READ
        with version, version._connection.transaction():
            yield version

    def abandon_storage(self) -> None:
        _PARENTS.append(self._connection)  # to close it would end the parent's session

    def reopen_storage(self) -> None:
        self._connection, _ = _open(self._place)
        self._connection.read_only = True

    def count_rows(self, where: Expression | None) -> int:
        chosen, values = self._where(where)
        return int(self._run(f"SELECT count(*) FROM {self._name}{chosen}", values).fetchone()[0])

    def compact_storage(self) -> None:
        if (
            self.count_rows(None) >= self.backend.index_rows
            and self.dim <= 2000
            and not self._run(_INDEX, (self._table_name,)).fetchone()
        ):
            # PostgreSQL names it: a name of ours could be taken, or cut to that of another table.
            kind = _CLASSES[self.metric]
            self._run(f"CREATE INDEX ON {self._name} USING hnsw (vector {kind})")
        self._run(f"VACUUM ANALYZE {self._name}")

    def measure_storage(self) -> tuple[int, dict[str, Any]]:
        size = self._run(
            "SELECT pg_total_relation_size(%s::regclass)", (self._table_name,)
        ).fetchone()[0]
        version = self._run("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        return int(size), {"pgvector": version.fetchone()[0]}

    def close_storage(self) -> None:
        self._connection.close()

    def _column(self, name: str) -> str:
        return _escaped(quoted(self._names[name]))

    def _select(self, columns: Sequence[str]) -> str:
        return ", ".join(
            "vector::real[]" if name == "vector" else self._column(name) for name in columns
        )

    def _where(self, where: Expression | None) -> tuple[str, list[Any]]:
        """A clause with place holders, and the values for them."""
        values: list[Any] = []

        def value(literal: Any) -> str:
            values.append(literal)
            return "%s::double precision" if isinstance(literal, float) else "%s"

        text = "" if where is None else f" WHERE {sql(where, column=self._column, value=value)}"
        return text, values

    def _table(self, rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> pa.Table:
        import pyarrow as pa

        schema = pa.schema([self.schema.field(name) for name in columns], self.schema.metadata)
        values = zip(*rows, strict=True) if rows else [[] for _ in columns]
        arrays = [
            pa.array(list(column), part.type) for column, part in zip(values, schema, strict=True)
        ]
        if not columns:
            return pa.table({"_": pa.nulls(len(rows))}).select([])
        return pa.table(arrays, schema=schema)


def _escaped(name: str) -> str:
    """A per cent sign begins a place holder of the driver."""
    return name.replace("%", "%%")


def _text(vector: NDArray[np.float32]) -> str:
    """As pgvector reads it; nine digits give every float32 back."""
    return "[" + ",".join(f"{x:.9g}" for x in vector.tolist()) + "]"
