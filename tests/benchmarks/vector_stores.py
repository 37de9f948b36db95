"""Stores on the disk, for `bench_vector`."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
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
            theirs = iter([pa.Table.from_batches([each]) for each in made])
            ways["lancedb, no fsync"] = lambda: lance.add(next(theirs))
        yield ways


@contextmanager
def flushed(rows: int) -> Iterator[Ways]:
    """A flush of our store, and the write after it, which has to know where all ids are."""
    with folder() as path:
        batches = (
            table(first, np.ones((1000, 4), np.float32)) for first in itertools.count(rows, 1000)
        )
        vectors = np.ones((rows, 4), np.float32)
        schema, kept = next(batches).schema, {"durability": "none", "compaction": "explicit"}
        store = Store.create(path / "ours", schema, **kept)
        store.add(table(0, vectors))
        yield {"flush": store.flush, "ours, after a flush": lambda: store.add(next(batches))}


@contextmanager
def openers(vectors: Floats, query: Floats, engines: Sequence[str]) -> Iterator[tuple[Ways, Path]]:
    """Ways to open a store of many rows and ask it once; and where they are."""
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

            _lance(path / "lance", vectors)

            def theirs() -> Any:
                opened = lancedb.connect(path / "lance").open_table("rows")
                return (
                    opened.search(query)
                    .metric("cosine")
                    .select(["id", "_distance"])
                    .limit(10)
                    .to_arrow()
                )

            ways["lancedb"] = theirs
        yield ways, path


@contextmanager
def searchers(vectors: Floats, asked: Floats, engines: Sequence[str]) -> Iterator[Ways]:
    """Ways to find the ten nearest of everything to one or many queries by stores that are open."""
    with folder() as path:
        ways: Ways = {}
        if "lancedb" in engines:
            lance = _lance(path / "lance", vectors)
            search = lance.search(asked).distance_type("dot").select(["id", "_distance"]).limit(10)
            ways["lancedb"] = search.to_arrow
        yield ways


def _lance(path: Path, vectors: Floats) -> Any:
    import lancedb

    schema = table(0, vectors[:1]).schema
    lance = lancedb.connect(path).create_table("rows", schema=schema)
    for first in range(0, len(vectors), 100_000):
        part = table(first, vectors[first : first + 100_000])
        lance.add(pa.Table.from_batches([part]))
    return lance


def resident() -> dict[str, float]:
    """Megabytes of this process in memory: RssAnon is its own, RssFile is mapped from files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    pairs = (line.split(":") for line in lines if line.startswith("Rss"))
    return {name: int(value.split()[0]) / 1024 for name, value in pairs}


def touched(path: Path) -> Iterator[dict[str, Any]]:
    """What a fresh process has in memory after each of some steps with our store in a folder."""
    command = [sys.executable, __file__, str(path / "ours")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    yield from map(json.loads, done.stdout.splitlines())


def _touch(path: str) -> Iterator[dict[str, Any]]:
    before = resident()

    def grown(step: str) -> dict[str, Any]:
        return {"step": step} | {name: now - before[name] for name, now in resident().items()}

    store = Store.open(path, read_only=True)
    snapshot = store.snapshot()
    yield grown("opened")
    store.get(list(range(0, 100_000, 10_000)))
    yield grown("10 rows read by id")
    dim = snapshot.schema.field("vector").type.list_size
    snapshot.search(np.ones(dim, np.float32), 10, columns=["id"])
    yield grown("one exact query")


if __name__ == "__main__":
    for line in _touch(sys.argv[1]):
        print(json.dumps(line))  # noqa: T201
