"""Qdrant, in a folder or on a server."""

from __future__ import annotations

import base64
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from attrs import field, frozen, validators

from aios_core.contracts import Capability, Id, StorageBackend, VectorStore
from aios_core.contracts.primitives import id_taken
from aios_core.contracts.records import check_schema, score, vectors_of
from aios_core.errors import MissingExtraError, StorageError
from aios_core.filters import And, Compare, Expression, In, IsNull, Not, Or, renamed
from aios_core.filters.literals import LEAST
from aios_core.redaction import redacted
from aios_plugins.storage._names import is_plain, kept_names

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from aios_core.contracts.records import Metric
    from aios_core.filters.tree import Operator

COLLECTION: Final = "memory"
"""In a folder; on a server the uri names the collection."""

_SPACE: Final = UUID("5cfd38a6-90ec-47f0-9a4f-3f6b2d5a7c11")
"""Qdrant's ids are UUIDs: ours are hashed into this name space, and kept in the payload."""
_PAGE: Final = 1000
_PARENTS: Final[list[Any]] = []
"""In a forked process: clients of its parent, which must not be dropped here."""
_DISTANCES: Final = {"cosine": "Cosine", "dot": "Dot", "l2": "Euclid"}


@frozen
class Qdrant(StorageBackend):
    """A Qdrant collection: ``http://host:6333/notes``, or a folder (extra ``qdrant``).

    A server is asked with the key in QDRANT_API_KEY; it acknowledges a write when its log has it.
    A folder is held by one process at a time, readers included, and searched row by row. A write of
    more than 1000 rows is several commits. Numbers are compared as float64, and vectors kept at
    unit length where the metric is cosine.
    """

    schemes: ClassVar[frozenset[str]] = frozenset({"http", "https"})
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"approximate"})
    timeout: int = field(default=60, validator=[validators.ge(1), validators.le(86_400)])
    """Seconds that a server has for an answer."""

    def exists(self, uri: str) -> bool:
        """Whether the collection is there."""
        if "://" not in uri:
            return _made(Path(uri))
        client, name = self._connect(uri)
        with _translated(uri), client:
            return bool(client.collection_exists(name))

    def create(self, uri: str, schema: pa.Schema, *, metric: Metric = "cosine") -> VectorStore:
        """Make the collection; its metadata hold the schema."""
        dim = check_schema(schema).field("vector").type.list_size
        if "://" not in uri and Path(uri).exists():
            # What a process leaves that is killed before the collection is there.
            begun = re.compile(r"\.lock|collection|meta\.json.*").fullmatch
            if not all(begun(path.name) for path in Path(uri).iterdir()) or _made(Path(uri)):
                raise StorageError(f"{uri} cannot become a store: it is not empty")
        client, name = self._connect(uri)
        from qdrant_client import models

        kept = base64.b64encode(schema.serialize()).decode()
        with _translated(uri), _closing_on_error(client):
            client.create_collection(
                name,
                vectors_config=models.VectorParams(
                    size=dim, distance=models.Distance(_DISTANCES[metric])
                ),
                metadata={
                    "aios.schema": kept,
                    "aios.metric": metric,
                    "aios.columns": json.dumps(kept_names(schema)),
                },
            )
        return _QdrantStore(self, uri, schema, metric, client, name, kept_names(schema))

    def open(self, uri: str, *, read_only: bool = False) -> VectorStore:
        """Open the collection."""
        import pyarrow as pa

        if "://" not in uri and not self.exists(uri):
            raise StorageError(f"{uri} is not a store: Qdrant's meta.json lists no {COLLECTION!r}")
        client, name = self._connect(uri)
        with _translated(uri), _closing_on_error(client):
            metadata = client.get_collection(name).config.metadata or {}
            metric: Any = metadata.get("aios.metric")
            try:
                raw = base64.b64decode(metadata["aios.schema"])
                schema = check_schema(pa.ipc.read_schema(pa.py_buffer(raw)))
                # An earlier version kept all columns by their own names.
                own = json.dumps({column: column for column in schema.names})
                stored = json.loads(metadata.get("aios.columns", own))
                names = {column: stored[column] for column in schema.names}
            except (KeyError, ValueError, TypeError, OSError, pa.ArrowException) as error:
                raise StorageError(f"{uri} was not made as a store: it has no schema") from error
            if metric not in _DISTANCES:
                raise StorageError(f"{uri} was not made as a store: it has no metric")
        return _QdrantStore(self, uri, schema, metric, client, name, names, read_only=read_only)

    def _connect(self, uri: str) -> tuple[Any, str]:
        try:
            from qdrant_client import QdrantClient
        except ImportError as error:
            raise MissingExtraError("storage.type = 'qdrant'", "qdrant", "qdrant_client") from error
        with _translated(uri):
            if "://" not in uri:
                return _embedded(QdrantClient, uri), COLLECTION
            place = urlsplit(uri)
            name = place.path.strip("/")
            if not name or "/" in name:
                raise StorageError(f"{uri} names no collection; expected http://host:6333/notes")
            key = os.environ.get("QDRANT_API_KEY")
            url = f"{place.scheme}://{place.netloc}"
            return QdrantClient(url=url, api_key=key, timeout=self.timeout), name


def _embedded(client: Any, uri: str) -> Any:
    """A client of a folder; one that finds it in use leaves its lock file open behind it."""
    # Said of a folder that is large, at writing and at opening; `Qdrant` says what that costs.
    warnings.filterwarnings("ignore", "Local mode is not recommended", UserWarning)
    try:
        return client(path=uri)
    except Exception as error:
        trace = error.__traceback__
        while trace is not None:
            lock = getattr(trace.tb_frame.f_locals.get("self"), "_flock_file", None)
            if lock is not None:
                lock.close()
            trace = trace.tb_next
        raise


def _made(folder: Path) -> bool:
    """Whether a folder holds our collection; Qdrant writes of it last."""
    try:
        return COLLECTION in json.loads((folder / "meta.json").read_bytes())["collections"]
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(f"{folder / 'meta.json'} is damaged: {error}") from error


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """What Qdrant raises, as our error; its exceptions have no common root."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        text = redacted(str(error), uri=uri)
        raise StorageError(f"{uri}: Qdrant says: {text}") from error


@contextmanager
def _closing_on_error(client: Any) -> Iterator[None]:
    try:
        yield
    except BaseException:
        client.close()
        raise


class _QdrantStore(VectorStore):
    backend: Qdrant

    def __init__(self, *arguments: Any, read_only: bool = False) -> None:
        *common, self._client, self._name, self._names = arguments
        super().__init__(*common, read_only=read_only)

    def write_rows(self, rows: pa.Table, *, replace: bool) -> None:
        from qdrant_client import models

        if not replace:
            known = self.fetch_rows(rows.column("id").to_pylist(), ["id"]).column("id")
            if len(known):
                raise id_taken(self, known[0].as_py())
        payloads = rows.drop_columns("vector").to_pylist()
        points = [
            models.PointStruct(
                id=_point(row["id"]),
                vector=vector,
                payload={
                    self._names[name]: value for name, value in row.items() if value is not None
                },
            )
            for row, vector in zip(payloads, vectors_of(rows).tolist(), strict=True)
        ]
        with _translated(self.uri):
            for some in _pages(points):
                self._client.upsert(self._name, some, wait=True)

    def remove_rows(self, ids: Sequence[Id]) -> int:
        known = self.fetch_rows(ids, ["id"]).column("id").to_pylist()
        with _translated(self.uri):
            if known:
                self._client.delete(self._name, [_point(key) for key in known], wait=True)
        return len(known)

    def fetch_rows(self, ids: Sequence[Id], columns: Sequence[str]) -> pa.Table:
        by_id: dict[Id, Any] = {}
        with _translated(self.uri):
            for some in _pages(ids):
                points = self._client.retrieve(
                    self._name, [_point(key) for key in some], **self._asked([*columns, "id"])
                )
                by_id |= {point.payload["id"]: point for point in points}
        return self._table([by_id[key] for key in ids if key in by_id], columns)

    def nearest_rows(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Expression | None,
        exact: bool | None,
        columns: Sequence[str],
    ) -> list[pa.Table]:
        import numpy as np
        import pyarrow as pa
        from qdrant_client import models

        tables, served = [], "://" in self.uri  # a folder is always searched row by row
        for query in queries:
            with _translated(self.uri):
                points = self._client.query_points(
                    self._name,
                    query=query.tolist(),
                    limit=k,
                    query_filter=self._chosen(where),
                    search_params=models.SearchParams(exact=bool(exact)) if served else None,
                    **self._asked(columns),
                ).points
            scores = np.array([point.score for point in points], np.float64)
            if self.metric == "l2":
                scores = score("l2", scores)
            table = self._table(points, columns)
            tables.append(table.append_column("_score", pa.array(scores.astype(np.float32))))
        return tables

    def scan_rows(self, columns: Sequence[str], where: Expression | None) -> Iterator[pa.Table]:
        offset, chosen = None, self._chosen(where)
        while True:
            with _translated(self.uri):
                points, offset = self._client.scroll(
                    self._name, chosen, limit=_PAGE, offset=offset, **self._asked(columns)
                )
            yield self._table(points, columns)
            if offset is None:
                return

    def count_rows(self, where: Expression | None) -> int:
        with _translated(self.uri):
            chosen = self._chosen(where)
            return int(self._client.count(self._name, count_filter=chosen, exact=True).count)

    def measure_storage(self) -> tuple[None, dict[str, Any]]:
        with _translated(self.uri):
            collection = self._client.get_collection(self._name)
        return None, {"status": str(collection.status.value), "segments": collection.segments_count}

    def abandon_storage(self) -> None:
        """The client lets go of the lock when it is dropped, and would do so for the parent too."""
        _PARENTS.append(self._client)
        if "://" not in self.uri and (lock := self._client._client._flock_file):  # noqa: SLF001
            lock.close()

    def reopen_storage(self) -> None:
        """A folder's points are in memory, as they were at the fork."""
        if "://" in self.uri:
            self._client, _ = self.backend._connect(self.uri)  # noqa: SLF001 - of this file

    def close_storage(self) -> None:
        self._client.close()

    def _asked(self, columns: Sequence[str]) -> dict[str, Any]:
        payload: Any = [self._names[name] for name in columns if name != "vector"]
        if not all(map(is_plain, payload)):
            payload = True  # a name that it would read as a path into JSON
        return {"with_payload": payload or False, "with_vectors": "vector" in columns}

    def _chosen(self, where: Expression | None) -> Any:
        return None if where is None else _filter(renamed(where, self._names))

    def _table(self, points: Sequence[Any], columns: Sequence[str]) -> pa.Table:
        import pyarrow as pa

        schema = pa.schema([self.schema.field(n) for n in columns], self.schema.metadata)
        rows = [{**(point.payload or {}), "vector": point.vector} for point in points]
        kept = [{n: row.get(self._names[n]) for n in columns} for row in rows]
        return pa.Table.from_pylist(kept, schema)


def _pages(values: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _PAGE):
        yield list(values[start : start + _PAGE])


def _point(key: Id) -> str:
    return str(uuid5(_SPACE, f"{type(key).__name__}:{key}"))


_OPPOSITE: Final[Mapping[Operator, Operator]] = {
    "=": "!=",
    "!=": "=",
    "<": ">=",
    "<=": ">",
    ">": "<=",
    ">=": "<",
}
_RANGE: Final = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


def _filter(expression: Expression) -> Any:
    """Qdrant's filter, which knows no unknown: NOT is pushed inwards, where it means a value."""
    from qdrant_client import models

    condition = _condition(expression, positive=True)
    return condition if isinstance(condition, models.Filter) else models.Filter(must=[condition])


def _condition(expression: Expression, *, positive: bool) -> Any:
    from qdrant_client import models

    match expression:
        case Not(part):
            return _condition(part, positive=not positive)
        case And(parts) | Or(parts):
            conditions = [_condition(part, positive=positive) for part in parts]
            every = isinstance(expression, And) == positive
            return models.Filter(must=conditions) if every else models.Filter(should=conditions)
        case IsNull(name):
            empty = models.IsEmptyCondition(is_empty=models.PayloadField(key=_key(name)))
            return empty if positive else models.Filter(must_not=[empty])
        case Compare(name, sign, value):
            sign = sign if positive else _OPPOSITE[sign]
            if sign in _RANGE:
                if isinstance(value, int) and abs(value) > 2**53 and value != LEAST:
                    raise StorageError(
                        f"Qdrant orders whole numbers as float64; expected one up to 2^53 in size, "
                        f"got {value}"
                    )
                bounds: dict[str, Any] = {_RANGE[sign]: value}
                return models.FieldCondition(key=_key(name), range=models.Range(**bounds))
            return _equal(name, (value,), positive=sign == "=")
        case In(name, values):
            return _equal(name, values, positive=positive)
    raise AssertionError(expression)


def _equal(name: str, values: Sequence[Any], *, positive: bool) -> Any:
    """A value is there, and one of some or none of them."""
    from qdrant_client import models

    key = _key(name)
    conditions: list[Any] = [
        models.FieldCondition(key=key, range=models.Range(gte=value, lte=value))
        if isinstance(value, float)
        else models.FieldCondition(key=key, match=models.MatchValue(value=value))
        for value in values
    ]
    if positive:
        return models.Filter(should=conditions)
    empty = models.IsEmptyCondition(is_empty=models.PayloadField(key=key))
    return models.Filter(must_not=[*conditions, empty])


def _key(name: str) -> str:
    """Qdrant reads keys as paths into JSON."""
    return name if is_plain(name) else f'"{name}"'
