"""Stores on the disk, for `bench_vector`."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aios_plugins._native.arrow_storage import Store

Floats = NDArray[np.float32]
Ways = dict[str, Callable[[], Any]]


def table(first: int, vectors: Floats) -> pa.RecordBatch:
    """Rows with ids that count from `first`."""
    dim = vectors.shape[1]
    values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dim)
    ids = pa.array(np.arange(first, first + len(vectors)))
    schema = pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), dim), nullable=False),
        ]
    )
    return pa.record_batch([ids, values], schema=schema)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder on the disk of the checkout, for a temporary one may lie in memory."""
    path = Path(tempfile.mkdtemp(prefix=".bench-", dir=Path(__file__).parents[2]))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def writers(vectors: Floats, engines: Sequence[str], rounds: int) -> Iterator[Ways]:
    """Ways to keep rows for good, so many times: ours and sqlite's sync, lancedb's does not."""
    made = [table(i * len(vectors), vectors) for i in range(rounds)]
    with folder() as path:
        ways: Ways = {}
        if "ours" in engines:
            raw, data = (path / "raw").open("wb", buffering=0), vectors.tobytes()

            def bare() -> None:
                raw.write(data)
                os.fdatasync(raw.fileno())

            store, ours = Store.create(path / "ours", made[0].schema), iter(made)
            ways |= {"one fdatasync": bare, "ours": lambda: store.add(next(ours))}
        if "sqlite" in engines:
            database = sqlite3.connect(path / "sqlite")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, vector BLOB)")

            values, ids = [row.tobytes() for row in vectors], itertools.count()

            def insert() -> None:
                rows = zip(ids, values, strict=False)
                with database:
                    database.executemany("INSERT INTO rows VALUES (?, ?)", rows)

            ways["sqlite"] = insert
        if "lancedb" in engines:
            import lancedb

            lance = lancedb.connect(path / "lance").create_table("rows", schema=made[0].schema)
            theirs = iter([pa.Table.from_batches([one]) for one in made])
            ways["lancedb, no fsync"] = lambda: lance.add(next(theirs))
        yield ways


@contextmanager
def openers(vectors: Floats, query: Floats, engines: Sequence[str]) -> Iterator[Ways]:
    """Ways to open a store of many rows and ask it once."""
    with folder() as path:
        ways: Ways = {}
        if "ours" in engines:
            store = Store.create(path / "ours", table(0, vectors[:1]).schema, durability="none")
            for first in range(0, len(vectors), 100_000):
                store.add(table(first, vectors[first : first + 100_000]))
            store.compact()
            store.close()

            def ours() -> Any:
                opened = Store.open(path / "ours", read_only=True)
                return opened.snapshot().search(query, 10, columns=["id"])

            ways["ours"] = ours
            ways["ours, opened only"] = lambda: Store.open(path / "ours", read_only=True)
        if "lancedb" in engines:
            import lancedb

            database = lancedb.connect(path / "lance")
            lance = database.create_table("rows", schema=table(0, vectors[:1]).schema)
            for first in range(0, len(vectors), 100_000):
                part = table(first, vectors[first : first + 100_000])
                lance.add(pa.Table.from_batches([part]))

            def theirs() -> Any:
                opened = lancedb.connect(path / "lance").open_table("rows")
                return opened.search(query).metric("cosine").select(["id"]).limit(10).to_arrow()

            ways["lancedb"] = theirs
        yield ways
