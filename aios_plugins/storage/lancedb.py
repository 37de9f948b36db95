"""LanceDB, embedded or on an object store."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from attrs import field, frozen, validators

from aios_core.contracts import Capability, Id, StorageBackend, VectorStore
from aios_core.contracts.primitives import id_taken, scored_rows
from aios_core.contracts.records import check_schema, score
from aios_core.errors import MissingExtraError, StorageError
from aios_core.filters import And, Expression, In, IsNull, Not, Or, Value, renamed, sql
from aios_core.filters.sql import literal
from aios_core.memory.bm25 import Bm25
from aios_core.redaction import redacted
from aios_plugins.storage._names import kept_names

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from aios_core.contracts.records import Metric

TABLE: Final = "memory"
_METRIC: Final = b"aios.metric"
_COLUMNS: Final = b"aios.columns"
"""In the metadata of the table: by which name it keeps each column."""
_SOURCE: Final = re.compile(r",? *(?:at )?\S*\.rs:\d+(?::\d+)?")
"""Where in its own code LanceDB was, at the end of its messages: no help to a user."""


@frozen
class LanceDb(StorageBackend):
    """A LanceDB table in a folder or on an object store: ``s3://bucket/notes`` (extra ``lancedb``).

    A write that returned survives the death of the process; LanceDB calls no fsync, so the loss of
    power may take it. Any number of processes read and write, but not those forked from one that
    used LanceDB: its threads are not there, so that they are refused.
    """

    schemes: ClassVar[None] = None
    concurrent: ClassVar[bool] = True
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {"approximate", "text", "text filters"}
    )
    index_rows: int = field(
        default=10_000, validator=[validators.ge(256), validators.le(2**31 - 1)]
    )
    """Rows from which on `compact` makes an index (IVF_HNSW_SQ) for approximate search."""

    def exists(self, uri: str) -> bool:
        """Whether the table is there."""
        if "://" not in uri:
            return any(Path(uri).glob(f"{TABLE}.lance/_versions/*.manifest"))
        with _translated(uri):
            try:
                self._connect(uri).open_table(TABLE)
            except (ValueError, FileNotFoundError) as error:
                if "was not found" in str(error):
                    return False
                raise
        return True

    def create(self, uri: str, schema: pa.Schema, *, metric: Metric = "cosine") -> VectorStore:
        """Make the table."""
        import pyarrow as pa

        check_schema(schema)
        if "://" not in uri and Path(uri).exists():
            if self.exists(uri) or [path.name for path in Path(uri).iterdir()] not in (
                [],
                [f"{TABLE}.lance"],
            ):
                raise StorageError(f"{uri} cannot become a store: it is not empty")
            # What a process leaves that is killed before the first version is there.
            shutil.rmtree(Path(uri) / f"{TABLE}.lance", ignore_errors=True)
        names = kept_names(schema)
        ours = {_METRIC: metric.encode(), _COLUMNS: json.dumps(names).encode()}
        kept = pa.schema(
            [part.with_name(names[part.name]) for part in schema],
            {**(schema.metadata or {}), **ours},
        )
        with _translated(uri):
            table = self._connect(uri).create_table(TABLE, schema=kept)
        return _LanceStore(self, uri, schema, metric, table, names)

    def open(self, uri: str, *, read_only: bool = False) -> VectorStore:
        """Open the table."""
        import pyarrow as pa

        database = self._connect(uri) if self.exists(uri) else None
        if database is None:
            raise StorageError(f"{uri} is not a store: it has no table {TABLE!r}")
        with _translated(uri):
            table = database.open_table(TABLE)
            metadata = dict(table.schema.metadata or {})
            kept = table.schema
        metric: Any = metadata.pop(_METRIC, b"").decode()
        if metric not in ("cosine", "dot", "l2"):
            raise StorageError(f"{uri} was not made as a store: its schema names no metric")
        # An earlier version kept all columns by their own names.
        own = {name: name for name in kept.names}
        try:
            names = json.loads(metadata.pop(_COLUMNS, json.dumps(own)))
            theirs = {kept_name: name for name, kept_name in names.items()}
            fields = [part.with_name(theirs[part.name]) for part in kept]
        except (ValueError, KeyError, AttributeError) as error:
            raise StorageError(f"{uri} is damaged: its schema does not name its columns") from error
        schema = check_schema(pa.schema(fields, metadata))
        return _LanceStore(self, uri, schema, metric, table, names, read_only=read_only)

    def _connect(self, uri: str) -> Any:
        try:
            import lancedb
        except ImportError as error:
            raise MissingExtraError("storage.type = 'lancedb'", "lancedb", "lancedb") from error
        _check_process(uri)
        with _translated(uri):
            return lancedb.connect(uri, read_consistency_interval=timedelta(0))


def _value(value: Value) -> str:
    """LanceDB reads a minus as an operator, so that the least int64 is out of its range."""
    return f"CAST('{value}' AS BIGINT)" if type(value) is int and value < 0 else literal(value)


_users: Final[list[int]] = []
"""Processes that have used LanceDB: this one, or one that this one was forked from."""


def _check_process(uri: str) -> None:
    """LanceDB makes its threads anew in a forked process, and sometimes crashes there."""
    if _users and _users[-1] != os.getpid():
        raise StorageError(
            f"{uri}: LanceDB was used by process {_users[-1]}, from which this one was forked, and "
            "cannot be used in both; expected a process that is started anew, as the start method "
            "'spawn' of multiprocessing does"
        )
    if not _users:
        _users.append(os.getpid())


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """What LanceDB raises, as our error."""
    try:
        yield
    except (RuntimeError, ValueError, OSError, TypeError) as error:
        text = _SOURCE.sub("", redacted(str(error), uri=uri))
        raise StorageError(f"{uri}: LanceDB says: {text}") from error


class _LanceStore(VectorStore):
    backend: LanceDb

    def __init__(self, *arguments: Any, read_only: bool = False) -> None:
        *common, self._table, self._names = arguments
        super().__init__(*common, read_only=read_only)
        self._texts: tuple[int, list[Id], Bm25] | None = None
        self._writing = threading.RLock()  # what `add` has not found must not come meanwhile

    def write_rows(self, rows: pa.Table, *, replace: bool) -> None:
        kept = rows.rename_columns([self._names[name] for name in rows.column_names])
        with self._writing, _translated(self.uri):
            if replace:
                merge = self._table.merge_insert("id").when_matched_update_all()
                merge.when_not_matched_insert_all().execute(kept)
                return
            known = self._rows(["id"], In("id", tuple(rows.column("id").to_pylist())))
            if known.num_rows:
                raise id_taken(self, known.column("id")[0].as_py())
            self._table.add(kept)

    def remove_rows(self, ids: Sequence[Id]) -> int:
        return self.remove_where(In("id", tuple(ids)))

    def remove_where(self, where: Expression) -> int:
        with self._writing, _translated(self.uri):
            return int(self._table.delete(self._sql(where)).num_deleted_rows)

    def fetch_rows(self, ids: Sequence[Id], columns: Sequence[str]) -> pa.Table:
        import pyarrow as pa

        needed = list(dict.fromkeys(["id", *columns]))
        if not ids:
            return self.schema.empty_table().select(columns)
        rows = self._rows(needed, In("id", tuple(ids)))
        place = {key: row for row, key in enumerate(rows.column("id").to_pylist())}
        order = pa.array([place[key] for key in ids if key in place], pa.int64())
        return self._fit(rows.take(order), columns)

    def nearest_rows(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Expression | None,
        exact: bool | None,
        columns: Sequence[str],
    ) -> list[pa.Table]:
        tables = []
        for query in queries:
            with _translated(self.uri):
                search = self._table.search(query).distance_type(self.metric).limit(k)
                if where is not None:
                    search = search.where(self._sql(where), prefilter=True)
                if exact:
                    search = search.bypass_vector_index()
                rows = search.select([*self._kept(columns), "_distance"]).to_arrow()
            raw = rows.column("_distance").to_numpy()
            raw = raw - 1 if self.metric == "dot" else raw  # LanceDB's is 1 minus the product
            scores = score(self.metric, raw, squared=True)
            tables.append(self._with_scores(rows, scores, columns))
        return tables

    def match_text(
        self, text: str, k: int, where: Expression | None, columns: Sequence[str]
    ) -> pa.Table:
        ids, texts = self._words()
        scores = texts.scores(text)
        if where is not None:
            chosen = {
                key for part in self.scan_rows(["id"], where) for key in part["id"].to_pylist()
            }
            scores = np.where([key in chosen for key in ids], scores, 0)
        best = np.argsort(-scores, kind="stable")[:k]
        best = best[scores[best] > 0]
        return scored_rows(self, [(ids[row], float(scores[row])) for row in best], columns)

    def _words(self) -> tuple[list[Id], Bm25]:
        """Of the latest version. LanceDB's own index counts rows that are gone, and is written."""
        with _translated(self.uri):
            version = self._table.version
        if self._texts is None or self._texts[0] != version:
            ids, texts = list[Id](), list[str | None]()
            for part in self.scan_rows(["id", "text"], None):
                ids += part["id"].to_pylist()
                texts += part["text"].to_pylist()
            self._texts = version, ids, Bm25(texts)
        return self._texts[1:]

    def scan_rows(self, columns: Sequence[str], where: Expression | None) -> Iterator[pa.Table]:
        import pyarrow as pa

        with _translated(self.uri):
            for batch in self._search(columns, where).to_batches():
                yield self._fit(pa.Table.from_batches([batch]), columns)

    def count_rows(self, where: Expression | None) -> int:
        with _translated(self.uri):
            return int(self._table.count_rows(None if where is None else self._sql(where)))

    def compact_storage(self) -> None:
        from lancedb.index import HnswSq

        with self._writing, _translated(self.uri):
            indexed = any(index.columns == ["vector"] for index in self._table.list_indices())
            if not indexed and self.count_rows(None) >= self.backend.index_rows:
                self._table.create_index("vector", config=HnswSq(distance_type=self.metric))
            self._table.optimize(cleanup_older_than=timedelta(hours=1))

    @contextmanager
    def pin_rows(self) -> Iterator[_LanceStore]:
        table = self._another()
        with _translated(self.uri):
            table.checkout(table.version)
        yield _LanceStore(
            self.backend, self.uri, self.schema, self.metric, table, self._names, read_only=True
        )

    def hold_rows(self) -> AbstractContextManager[object]:
        return self._writing

    def reopen_storage(self) -> None:
        _check_process(self.uri)

    def _another(self) -> Any:
        """A handle of its own."""
        connection = self.backend._connect(self.uri)  # noqa: SLF001 - of this file
        with _translated(self.uri):
            return connection.open_table(TABLE)

    def measure_storage(self) -> tuple[int, dict[str, Any]]:
        stats = self._table.stats()
        return stats["total_bytes"], {"version": self._table.version, **stats["fragment_stats"]}

    def _sql(self, where: Expression) -> str:
        return sql(_known(renamed(where, self._names)), value=_value)

    def _kept(self, columns: Sequence[str]) -> list[str]:
        return [self._names[name] for name in columns]

    def _search(self, columns: Sequence[str], where: Expression | None) -> Any:
        search = self._table.search().select(self._kept(columns))
        return search if where is None else search.where(self._sql(where))

    def _rows(self, columns: Sequence[str], where: Expression) -> pa.Table:
        with _translated(self.uri):
            return self._search(columns, where).to_arrow()

    def _fit(self, rows: pa.Table, columns: Sequence[str]) -> pa.Table:
        """With our schema: LanceDB leaves metadata out of what it projects."""
        import pyarrow as pa

        fields = [self.schema.field(name) for name in columns]
        chosen = rows.select(self._kept(columns)).rename_columns([*columns])
        return chosen.cast(pa.schema(fields, metadata=self.schema.metadata))

    def _with_scores(self, rows: pa.Table, scores: Any, columns: Sequence[str]) -> pa.Table:
        import pyarrow as pa

        column = pa.array(np.asarray(scores, np.float32))
        return self._fit(rows, columns).append_column("_score", column)


def _known(where: Expression, *, opposite: bool = False) -> Expression:
    """A filter, or its opposite, that is true of the same rows, with NOT before single tests alone.

    LanceDB takes ``x NOT IN (1) OR x NOT IN (2)`` for always true, also where x is missing, which
    makes it unknown. So the opposite of a list asks for a value as well; what was unknown is false
    then, which makes no difference where no NOT stands before it.
    """
    match where:
        case Not(part):
            return _known(part, opposite=not opposite)
        case And(parts) | Or(parts):
            kind = Or if isinstance(where, And) == opposite else And
            return kind(tuple(_known(part, opposite=opposite) for part in parts))
        case In(name) if opposite:
            return And((Not(IsNull(name)), Not(where)))
        case _:
            return Not(where) if opposite else where
