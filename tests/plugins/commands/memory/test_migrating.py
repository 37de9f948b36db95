"""Moving stores, also after an interruption."""

import numpy as np
import pyarrow as pa
import pytest

from aios_core.contracts import store_schema
from aios_core.contracts.primitives import fuse
from aios_core.errors import StorageError
from aios_core.memory import Place, open_store
from aios_plugins.commands.memory.migrating import _alike, migrate, target_of
from aios_plugins.storage.numpy import Numpy

SCHEMA = store_schema(3, {"n": "int64"})


def make(path, count=0, metric="cosine", schema=SCHEMA):
    store = Numpy().create(str(path), schema, metric=metric)
    rng = np.random.default_rng(0)
    store.add([{"id": str(n), "vector": rng.normal(size=3), "n": n} for n in range(count)])
    return store


def test_an_interrupted_migration_goes_on_where_it_was(tmp_path):
    reports = []

    def stop(rows):
        reports.append(rows)
        if len(reports) == 3:
            raise KeyboardInterrupt

    with make(tmp_path / "a", 100) as source, make(tmp_path / "b") as target:
        with pytest.raises(KeyboardInterrupt):
            migrate(source, target, batch_size=10, advance=stop)
        assert 30 == target.count()
        target.upsert([{"id": "5", "vector": [1, 2, 3], "n": 5}])
        reports.append(None)

        done = migrate(source, target, batch_size=10, advance=reports.append)

        assert (100, 71) == (done.rows, done.copied)
        assert [10] * 20 == reports[4:]
        assert source.get(["5"]) == target.get(["5"])


def test_a_store_that_is_filled_in_part_is_not_opened(tmp_path):
    """Until the same migration has gone to its end; the mark is beside it and then gone."""
    from_, to = (Place(Numpy(), str(tmp_path / "in" / name)) for name in "ab")
    make(from_.uri, 20).close()

    def move(advance):
        with open_store(from_, read=True) as source, target_of(source, from_, to) as target:
            return migrate(source, target, batch_size=10, advance=advance)

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(stop)
    assert f"{from_.uri}\n" == to.mark.read_text()
    for read in (False, True):
        with pytest.raises(StorageError, match="is filled in part: a migration to it was not fin"):
            open_store(to, read=read)
    done = move(lambda _: None)

    assert (20, 10) == (done.rows, done.copied)
    assert {"a", "b"} == {path.name for path in to.mark.parent.iterdir()}
    with open_store(to, read=True) as store:
        assert 20 == store.verify()


def test_a_target_that_cannot_be_made_leaves_no_mark(tmp_path):
    from_, to = (Place(Numpy(), str(tmp_path / name)) for name in "ab")
    make(from_.uri, 2).close()
    to.folder.mkdir()
    (to.folder / "mine").touch()
    with (
        open_store(from_, read=True) as source,
        pytest.raises(StorageError, match="not empty"),
        target_of(source, from_, to),
    ):
        pass

    assert {"a", "b"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(("inner", "message"), [("a", "same store"), ("a/b", "is in the other")])
def test_a_store_does_not_move_into_itself(tmp_path, inner, message):
    from_, to = (Place(Numpy(), str(tmp_path / name)) for name in ("a", f"./{inner}"))
    make(from_.uri, 2).close()
    with (
        open_store(from_, read=True) as source,
        pytest.raises(StorageError, match=message),
        target_of(source, from_, to),
    ):
        pass


def test_rows_that_do_not_belong_are_told(tmp_path):
    with make(tmp_path / "a", 5) as source, make(tmp_path / "b") as target:
        target.add([{"id": "mine", "vector": [1, 2, 3]}])
        with pytest.raises(StorageError, match=r"holds 6 rows, but .* 5"):
            migrate(source, target)


@pytest.mark.parametrize(
    ("metric", "schema"), [("l2", SCHEMA), ("cosine", store_schema(3, {"n": "float64"}))]
)
def test_stores_that_do_not_fit_are_told(tmp_path, metric, schema):
    with (
        make(tmp_path / "a", 5) as source,
        make(tmp_path / "b", metric=metric, schema=schema) as target,
    ):
        with pytest.raises(StorageError, match="of another schema or metric"):
            migrate(source, target)
        assert 0 == target.count()


@pytest.mark.parametrize("column", ["n", "text", "vector"])
def test_a_copy_that_differs_is_found(tmp_path, column):
    wrong = {"n": 7, "text": "other", "vector": [1.0, 2.0, 3.5]}[column]

    class Careless:
        """A target that loses a bit."""

        def __init__(self, store):
            self.store = store

        def __getattr__(self, name):
            return getattr(self.store, name)

        def upsert(self, rows):
            last = rows.to_pylist()
            last[-1][column] = wrong
            return self.store.upsert(pa.RecordBatch.from_pylist(last, rows.schema))

    with (
        make(tmp_path / "a", 3) as source,
        make(tmp_path / "b") as target,
        pytest.raises(StorageError, match=r"1 of 3 rows .* the first is '2'"),
    ):
        migrate(source, Careless(target))


def test_vectors_are_alike_up_to_length_where_that_is_allowed():
    """For cosine their directions count, and otherwise every bit."""
    rows = np.array([[1, 0], [1, 0], [1, 0], [1, 0]], np.float32)
    others = np.array([[1, 0], [3, 0], [-1, 0], [1, 1e-3]], np.float32)

    assert [True, True, False, False] == _alike(rows, others, "cosine").tolist()
    assert [True, False, False, False] == _alike(rows, others, "dot").tolist()
    assert not _alike(rows[:1], rows[:1] + np.float32(1e-6), "l2").any()


def test_what_was_written_is_safe_before_it_is_compared(tmp_path):
    """Section 5: the target is flushed between the last write and the first comparison."""
    calls = []

    class Recorded(type(Numpy().create(str(tmp_path / "x"), SCHEMA))):
        def write_rows(self, rows, *, replace):
            calls.append("write")
            super().write_rows(rows, replace=replace)

        def flush_storage(self):
            calls.append("flush")
            super().flush_storage()

        def fetch_rows(self, ids, columns):
            calls.append("compare")
            return super().fetch_rows(ids, columns)

    with make(tmp_path / "a", 20) as source, make(tmp_path / "b") as target:
        target.__class__ = Recorded
        migrate(source, target, batch_size=10)

    assert ["write", "write", "flush", "compare", "compare"] == calls[:5]


def test_a_store_that_holds_an_id_twice_is_not_sound(tmp_path):
    """Section 5: `verify` says which, for whoever wrote the backend."""
    with make(tmp_path / "a", 5) as store:

        class Twice(type(store)):
            def scan_rows(self, columns, where):
                yield from super().scan_rows(columns, where)
                yield from super().scan_rows(columns, where)

            def count_rows(self, where):
                return 2 * super().count_rows(where)

        store.__class__ = Twice
        with pytest.raises(StorageError, match="id '0' is there twice"):
            store.verify()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("vector", [1.0, np.nan, 2.0], "its vector holds nan"),
        ("vector", [0.0, 0.0, 0.0], "its vector is zero"),
        ("vector", None, "expected 'vector', which every row needs"),
        ("id", None, "expected 'id', which every row needs"),
    ],
)
def test_a_store_that_holds_what_nobody_could_add_is_not_sound(tmp_path, column, value, message):
    """Whoever wrote it there: `verify` looks at each row as `add` does."""
    with make(tmp_path / "a", 5) as store:

        class Spoilt(type(store)):
            def scan_rows(self, columns, where):
                for batch in super().scan_rows(columns, where):
                    rows = batch.to_pylist()
                    rows[3][column] = value
                    arrays = [pa.array([row[field.name] for row in rows], field.type)
                              for field in batch.schema]  # fmt: skip
                    yield pa.RecordBatch.from_arrays(arrays, schema=batch.schema)

        store.__class__ = Spoilt
        with pytest.raises(StorageError, match=f"row 3: {message}"):
            store.verify()


def test_a_store_whose_rows_have_other_columns_is_not_sound(tmp_path):
    with make(tmp_path / "a", 5) as store:

        class Narrow(type(store)):
            def scan_rows(self, columns, where):
                return super().scan_rows([column for column in columns if column != "n"], where)

        store.__class__ = Narrow
        with pytest.raises(StorageError, match=r"expected rows with columns .*n: int64"):
            store.verify()


def test_rows_that_are_counted_must_be_read(tmp_path):
    with make(tmp_path / "a", 5) as store:

        class More(type(store)):
            def count_rows(self, where):
                return 1 + super().count_rows(where)

        store.__class__ = More
        with pytest.raises(StorageError, match="5 rows can be read, 6 are counted"):
            store.verify()


def test_equal_ranks_are_in_the_order_of_the_first_ranking():
    """Section 5: ties of fused ranks are not sorted by id."""
    assert ["b", "a"] == [each for each, _ in fuse(["b"], ["a"])]
    assert ["c", "b", "a"] == [each for each, _ in fuse(["c", "b"], ["c", "a"])]
