"""A writer that is killed at random instants, and readers beside one that is not.

    python tests/plugins/storage/crashing.py crash 1000
    python tests/plugins/storage/crashing.py readers 60

A process that has threads must not be forked, so this one never opens a store itself: each writer,
checker and reader is a fork of its own, which saves their start-up.
"""

import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa  # noqa: F401  # imported before forking

from aios_core.contracts import store_schema
from aios_core.errors import StorageError
from aios_plugins.storage.arrow import Arrow
from aios_plugins.storage.numpy import Numpy  # noqa: F401  # its modules, too

DIM = 8
SCHEMA = store_schema(DIM, {"version": "int64"})


def row(number, version):
    vector = np.random.default_rng([number, version]).normal(size=DIM).astype(np.float32)
    text = f"row {number} in version {version}"
    return {"id": str(number), "text": text, "vector": vector, "version": version}


def forked(function, *arguments):
    """Run a function in a fork; its exit code is 0 where it returns."""
    pid = os.fork()
    if pid:
        return pid
    try:
        function(*arguments)
        os._exit(0)
    except BaseException as error:  # noqa: BLE001  # all is reported
        print(f"{function.__name__}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def write(place, pipe, held, seed):
    """Write until killed: what is about to be done, and that it is done, goes into the pipe."""
    rng, version = random.Random(seed), seed * 1000
    with Arrow().open(place) as store:
        while True:
            version += 1
            some = rng.sample(range(60), rng.choice([1, 3, 20]))
            what = rng.choice(["put", "put", "put", "delete", "compact"])
            os.write(pipe, json.dumps([what, some, version]).encode() + b"\n")
            if what == "put":
                store.upsert([row(number, version) for number in some])
                held |= dict.fromkeys(some, version)
            elif what == "delete":
                store.delete([str(number) for number in some])
            else:
                store.compact()
            os.write(pipe, b"done\n")


def check(place, before, after, pipe):
    """What is there is all that was acknowledged, and the last write whole or not at all."""
    with Arrow().open(place) as store:
        store.verify()
        rows = [value for batch in store.to_batches() for value in batch.to_pylist()]
    result = {int(row["id"]): row["version"] for row in rows}
    for stored in rows:
        right = row(int(stored["id"]), stored["version"])
        assert stored == {**right, "vector": right["vector"].tolist()}, stored
    assert result in (before, after), f"expected {before} or {after}, got {result}"
    os.write(pipe, json.dumps(sorted(result.items())).encode())


def replay(held, lines):
    """The rows before and after the last write, which may not have been acknowledged."""
    before = after = dict(held)
    for line in lines:
        if line == "done":
            before = after
            continue
        what, some, version = json.loads(line)
        after = dict(before)
        if what == "put":
            after |= dict.fromkeys(some, version)
        elif what == "delete":
            after = {number: there for number, there in before.items() if number not in some}
    return before, after


def crash(rounds, seed=0):
    """Kill so many writers; returns how many of them had written."""
    rng, held, wrote = random.Random(seed), {}, 0
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "store")
        assert 0 == ended(forked(lambda: Arrow().create(place, SCHEMA).close()))
        for number in range(1, rounds + 1):
            reader, writer = os.pipe()
            pid = forked(write, place, writer, held, number)
            os.close(writer)
            # One in five is killed while it opens the store, the others once they write.
            begun = os.read(reader, 1) if rng.random() < 0.8 else b""
            time.sleep(rng.uniform(0, 0.06))
            os.kill(pid, signal.SIGKILL)
            assert -signal.SIGKILL == ended(pid), "the writer failed by itself"
            lines = (begun + _all(reader)).decode().splitlines()
            wrote += bool(lines)
            before, after = replay(held, lines)
            reader, writer = os.pipe()
            checker = forked(check, place, before, after, writer)
            os.close(writer)
            answer = _all(reader)
            assert 0 == ended(checker), f"round {number}"
            held = dict(json.loads(answer))
    return wrote


def _all(descriptor):
    with os.fdopen(descriptor, "rb") as pipe:
        return pipe.read()


def keep_writing(place, until):
    """Replace all rows at once, again and again."""
    version = 1
    with Arrow(durability="batch").open(place) as store:
        while time.monotonic() < until:
            version += 1
            store.upsert([row(number, version) for number in range(20)])
            if version % 50 == 0:
                store.compact()
    print(json.dumps({"versions": version}), flush=True)


def keep_reading(place, until):
    """Every view is of one version, and none is older than the one before."""
    last, views = 0, 0
    while time.monotonic() < until:
        with Arrow().open(place, read_only=True) as store:
            rows = [value for batch in store.to_batches() for value in batch.to_pylist()]
            near = store.search(row(7, rows[0]["version"])["vector"], 1, columns=["id", "version"])
        versions = {row["version"] for row in rows}
        assert 20 == len(rows), len(rows)
        assert 1 == len(versions), versions
        assert [{"id": "7", "version": rows[0]["version"]}] == near.select([0, 1]).to_pylist()
        assert last <= rows[0]["version"]
        last, views = rows[0]["version"], views + 1
    print(json.dumps({"views": views, "last": last}), flush=True)


def readers(seconds):
    """One writer and two readers; returns whether all went well."""
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "store")

        def begin():
            with Arrow().create(place, SCHEMA) as store:
                store.add([row(number, 1) for number in range(20)])

        assert 0 == ended(forked(begin))
        until = time.monotonic() + seconds
        pids = [forked(f, place, until) for f in (keep_writing, keep_reading, keep_reading)]
        size = sum(path.stat().st_size for path in Path(place).iterdir())
        codes = [ended(pid) for pid in pids]
        with contextlib.suppress(StorageError):
            size = sum(path.stat().st_size for path in Path(place).iterdir())
        print(json.dumps({"bytes": size}), flush=True)
        return codes == [0, 0, 0] and size < 1 << 24


if __name__ == "__main__":
    kind, amount = sys.argv[1], int(sys.argv[2])
    began = time.monotonic()
    if kind == "crash":
        print(f"{amount} writers killed, {crash(amount)} of them while they wrote: nothing lost")
    else:
        assert readers(amount), "see above"
    print(f"{time.monotonic() - began:.1f} s")
