"""The part of the storage contract about threads, and about processes that are forked."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pytest

from aios_core.contracts.records import store_schema
from aios_core.errors import StorageError
from aios_core.testing.forking import fork, in_child

if TYPE_CHECKING:
    from aios_core.contracts import StorageBackend, VectorStore

_THREADS: Final = 6
_MANY: Final = 9000
"""Rows from which on every library that has threads uses them."""


def _rows(first: int, count: int) -> pa.Table:
    """Rows whose vectors are those of no other row."""
    numbers = np.arange(first, first + count)
    vectors = np.stack([np.cos(numbers), np.sin(numbers), np.cos(2 * numbers), numbers % 7], 1)
    flat = pa.array(vectors.astype(np.float32).ravel())
    columns = [
        pa.array([f"m{n}" for n in numbers]),
        pa.array([f"row {n} is {['red', 'blue', 'green'][n % 3]}" for n in numbers]),
        pa.array(numbers, pa.int64()),
        pa.FixedSizeListArray.from_arrays(flat, 4),
    ]
    return pa.table(columns, schema=store_schema(4, {"n": "int64"}))


def _together(work: Callable[[int], Any]) -> list[Any]:
    """What a function returns for each of some numbers, all begun at once."""
    start = Barrier(_THREADS)

    def begin(number: int) -> Any:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(begin, range(_THREADS)))


def _ids(table: pa.Table) -> list[Any]:
    return list(table["id"].to_pylist())


class SharingContract:
    """Tests over the fixtures of `StorageContract`."""

    @pytest.fixture
    def shared(
        self, instance: StorageBackend, filled: Any, new_uri: Callable[[], str]
    ) -> Iterator[VectorStore]:
        """An empty store with the columns of `_rows`."""
        with instance.create(new_uri(), _rows(0, 0).schema) as store:
            yield store

    def test_threads_lose_nothing(self, instance: StorageBackend, shared: VectorStore) -> None:
        """Fault V4: what six threads wrote is there, once, and nothing else."""

        def work(number: int) -> tuple[set[str], int]:
            held, deleted = set[str](), 0
            for step in range(8):
                some = _rows(1000 * number + 5 * step, 5)
                assert 5 == shared.upsert(some)
                held |= {*_ids(some)}
                table = shared.search(some["vector"][0].as_py(), 3)
                assert 3 == table.num_rows
                if step % 3 == 2:
                    gone = held.pop()
                    assert 1 == shared.delete([gone])
                    deleted += 1
                assert held == {*_ids(shared.get(sorted(held)))}
            return held, deleted

        done = _together(work)
        right = set[str]().union(*(held for held, _ in done))
        assert len(right) == shared.count() == shared.verify()
        shared.close()
        with instance.open(shared.uri) as again:
            assert right == {
                row_id
                for batch in again.to_batches(columns=["id"])
                for row_id in batch["id"].to_pylist()
            }
            assert len(right) == again.verify()

    def test_one_thread_adds_an_id(self, instance: StorageBackend, shared: VectorStore) -> None:
        """Fault V4: of six that add the same id one does; the others are refused."""

        def work(number: int) -> str:
            some = _rows(number, 1).set_column(0, "id", pa.array([f"same {index}"]))
            try:
                return str(shared.add(some.cast(shared.schema)))
            except StorageError as error:
                return str(error)

        for index in range(6):
            said = _together(work)
            assert 5 == sum(f"same {index}" in each for each in said), said
            assert 1 == said.count("1")
        assert 6 == shared.verify()
        shared.close()
        with instance.open(shared.uri) as again:
            assert 6 == again.verify()

    def test_threads_search_what_is_opened_for_reading(
        self, instance: StorageBackend, shared: VectorStore
    ) -> None:
        """Fault V4: also what an index makes at its first search is made once."""
        rows = _rows(0, 400)
        shared.add(rows)
        shared.close()
        with instance.open(shared.uri, read_only=True) as reader:
            query = rows["vector"][7].as_py()
            answers = _together(lambda _: [_ids(reader.search(query, 1)) for _ in range(5)])
            assert [[["m7"]] * 5] * _THREADS == answers

    def test_a_store_is_closed_while_threads_search(self, shared: VectorStore) -> None:
        """Fault V4: each search is answered, or refused because the store is closed."""
        rows = _rows(0, 100)
        shared.add(rows)
        query = rows["vector"][7].as_py()

        def work(number: int) -> str:
            for step in range(10_000):
                if number == 0 and step == 20:
                    shared.close()
                try:
                    assert ["m7"] == _ids(shared.search(query, 1))
                except StorageError as error:
                    return str(error)
            return "never closed"

        for said in _together(work):
            assert "closed" in said

    def test_a_reader_beside_a_writer_sees_no_damage(
        self, instance: StorageBackend, shared: VectorStore
    ) -> None:
        """Fault V8: whatever is written meanwhile, it opens, reads and verifies one version."""
        shared.add(_rows(0, 60))
        shared.flush()
        try:
            reader = instance.open(shared.uri, read_only=True)
        except StorageError as error:
            pytest.skip(f"it has no readers beside a writer: {error}")

        def write(steps: int) -> None:
            for step in range(steps):
                shared.upsert(_rows(0, 60))
                shared.delete([f"m{60 + step}"])
                shared.upsert(_rows(61 + step, 1))
                shared.flush()
                if step % 3 == 0:
                    shared.compact()
                    shared.flush()

        with reader, ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write, 12)
            rounds = 0
            while not writing.done() or not rounds:
                with instance.open(shared.uri, read_only=True) as again:
                    assert 60 <= again.verify() <= 62
                    assert 60 == len(again.get([f"m{n}" for n in range(60)]))
                assert 60 <= reader.verify() <= 62
                rounds += 1
            writing.result()

    def test_a_scan_is_not_part_of_what_others_write(self, shared: VectorStore) -> None:
        """Fault V4: who writes while batches are read, and leaves them, has written."""
        shared.add(_rows(0, 3000))
        for _ in shared.to_batches(batch_size=100):
            assert 2 == shared.delete(["m1", "m2999"])
            assert 1 == shared.upsert(_rows(5000, 1))
            break
        assert 2999 == shared.count()
        assert ["m5000"] == _ids(shared.get(["m1", "m2999", "m5000"]))

    def test_a_forked_process_reads_and_writes_nothing(
        self, instance: StorageBackend, shared: VectorStore
    ) -> None:
        """Fault V3: it finds what its parent finds; no row of either is lost, and nothing hangs."""
        many = _rows(0, _MANY)
        shared.add(many)
        queries = [many["vector"][n].as_py() for n in (3, 77)]
        words = "text" in instance.capabilities

        def read() -> list[Any]:
            answers: list[Any] = [
                _ids(shared.search(queries[0], 5, exact=exact)) for exact in (None, True)
            ]
            answers += [_ids(table) for table in shared.search_batch(queries, 3)]
            answers += [_ids(shared.get(["m5", "m8"])), shared.count("n < 100"), shared.count()]
            answers += [_ids(shared.search_text("row 5", 3))] if words else []
            return [*answers, sum(batch.num_rows for batch in shared.to_batches())]

        def refused(call: Callable[[], object]) -> str:
            with pytest.raises(StorageError) as error:
                call()
            return str(error.value)

        def child() -> list[Any]:
            said = [refused(lambda: shared.add(_rows(20_000, 1)))]
            said += [refused(lambda: shared.delete(["m1"])), refused(shared.compact)]
            try:
                both = [read(), in_child(read)]
            except StorageError as error:
                both = [str(error), refused(shared.flush)]
            shared.close()
            return [said, *both]

        right = read()
        for _ in range(2):
            said, text, deeper = in_child(child)
            assert 3 == len([line for line in said if "open it again in this process" in line])
            if isinstance(text, str):  # a backend may refuse to be read, always and in words
                assert "forked" in text
                assert text == deeper
            else:
                assert right == text == deeper
        assert 3 == shared.add(_rows(30_000, 3))
        assert 1 == shared.delete(["m1"])
        shared.close()
        with instance.open(shared.uri) as again:
            assert _MANY + 2 == again.count() == again.verify()

    def test_a_forked_process_holds_no_lock_of_its_parent(
        self, instance: StorageBackend, shared: VectorStore
    ) -> None:
        """Fault V3: when the parent has closed the store, or died, another opens it and writes."""
        if not instance.embedded:
            pytest.skip("its server knows who holds what")
        shared.add(_rows(0, 3))
        # A child that lives on beside a parent that closes.
        reader, writer = os.pipe()
        if not (child := fork()):
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        shared.close()
        instance.open(shared.uri).close()
        os.close(writer)
        os.waitpid(child, 0)
        # The same beside a parent that is killed.
        os.close(reader)
        (alive, reported), (reader, writer) = os.pipe(), os.pipe()
        if not (parent := fork()):
            try:
                store = instance.open(shared.uri)
                store.upsert(_rows(0, 1))
                if fork():
                    signal.pause()
                os.write(reported, b"x")
                os.close(reported)
                os.close(writer)
                os.read(reader, 1)
            finally:
                os._exit(0)
        os.close(reported)
        os.read(alive, 1)  # ends at once where the backend refuses to be opened there
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        try:
            with instance.open(shared.uri) as again:
                assert 1 == again.upsert(_rows(7, 1))
                assert 4 == again.verify()
        finally:
            for descriptor in (writer, reader, alive):
                os.close(descriptor)
