"""What every storage backend must do, and its stores."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from aios_core.contracts.maker import Maker
from aios_core.contracts.records import store_schema
from aios_core.errors import MissingExtraError, StorageError
from aios_core.files import manifest
from aios_core.testing.changing import ChangingContract
from aios_core.testing.contracts.base import Contract
from aios_core.testing.filtering import FilteringContract
from aios_core.testing.keeping import KeepingContract
from aios_core.testing.naming import NamingContract
from aios_core.testing.searching import GOOD, ROWS, SearchContract
from aios_core.testing.sharing import SharingContract
from aios_core.testing.stores import DIM, StoreMachine, plain, schema

if TYPE_CHECKING:
    from aios_core.contracts import StorageBackend, VectorStore

_BAD: dict[str, tuple[Any, str]] = {
    "wrong dimension": ([{"id": "new", "vector": [1.0]}], "row 0 .*expected 4 numbers"),
    "nan": ([GOOD, {"id": "b", "vector": [1, 2, np.nan, 4]}], "row 1 .*holds nan"),
    "infinite": ([{"id": "b", "vector": [1, 2, np.inf, 4]}], "row 0 .*holds inf"),
    "no vector": ([GOOD, {"id": "b"}], "row 1 .*expected 'vector'"),
    "no id": ([{"vector": [1, 2, 3, 4]}], "expected a column 'id'"),
    "null id": ([GOOD, {**GOOD, "id": None}], "row 1.*expected 'id'"),
    "empty id": ([GOOD, {**GOOD, "id": ""}], "row 1.*'id': expected a text of one character"),
    "id twice": ([GOOD, {**GOOD}], "row 1 .*'new' in row 0 as well"),
    "id there": ([GOOD, {**GOOD, "id": "m3"}], "m3.* is in"),
    "foreign column": ([{**GOOD, "yaer": 1}], "no column 'yaer'; did you mean 'year'"),
    "wrong type": ([{**GOOD, "year": "x"}], "column 'year'"),
    "nan in metadata": ([{**GOOD, "price": float("nan")}], "row 0 .*column 'price'.*got nan"),
    "id of another type": ([{**GOOD, "id": 7}], "column 'id'"),
}


class StorageContract(
    ChangingContract,
    FilteringContract,
    KeepingContract,
    NamingContract,
    SearchContract,
    SharingContract,
    Contract["StorageBackend"],
):
    """Subclass it and set ``component``: a backend's class, or one that is built.

    Backends that need a server override the fixture ``new_uri``.
    """

    varied: ClassVar = {
        "test_scores_are_right_whatever_the_lengths": {"metric": "cosine"},
        "test_ids_may_be_numbers": {},
    }
    drawn = 1

    @pytest.fixture(scope="class")
    @classmethod
    def new_uri(
        cls, instance: StorageBackend, tmp_path_factory: pytest.TempPathFactory
    ) -> Callable[[], str]:
        """A function that names a place where nothing is."""
        if not instance.embedded:
            pytest.skip("it needs a server; subclass the contract with a fixture new_uri")
        folder, numbers = tmp_path_factory.mktemp("stores"), itertools.count()
        return lambda: str(folder / str(next(numbers)))

    @pytest.fixture(scope="class")
    @classmethod
    def filled(cls, instance: StorageBackend, new_uri: Callable[[], str]) -> Iterator[VectorStore]:
        """A store with some rows, which nobody changes."""
        try:
            store = instance.create(new_uri(), schema(), metric="cosine")
        except MissingExtraError as error:
            pytest.skip(str(error))
        with store:
            assert len(ROWS) == store.add(ROWS)
            yield store

    @pytest.fixture
    def store(
        self, instance: StorageBackend, filled: VectorStore, new_uri: Callable[[], str]
    ) -> Iterator[VectorStore]:
        """A store with the same rows, for a test alone."""
        with instance.create(new_uri(), schema()) as store:
            store.add(pa.Table.from_pylist(ROWS, schema()))
            yield store

    def test_rows_survive_closing(self, instance: StorageBackend, store: VectorStore) -> None:
        """Rows, missing values, schema with its metadata, and metric."""
        store.close()
        assert instance.exists(store.uri)
        with instance.open(store.uri) as again:
            batches = list(again.to_batches(batch_size=7))
            assert max(batch.num_rows for batch in batches) <= 7
            rows = pa.Table.from_batches(batches)
            assert schema() == again.schema == rows.schema
            assert plain(ROWS, "cosine") == plain(rows, "cosine")
            assert (len(ROWS), DIM, "cosine") == (again.count(), again.dim, again.metric)
            assert len(ROWS) == again.verify() == again.stats().rows
        with instance.open(store.uri) as again:
            assert 2 == again.delete(["m3", "nobody", "m20"])
        with instance.open(store.uri, read_only=True) as again:
            left = {
                row_id for part in again.to_batches() for row_id in part.column("id").to_pylist()
            }
            assert {row["id"] for row in ROWS} - {"m3", "m20"} == left, "deletions alone are kept"

    def test_ids_may_be_numbers(self, instance: StorageBackend, new_uri: Any, filled: Any) -> None:
        """Negative ones, and the largest."""
        numbers = [-(2**63), -1, 0, 2**63 - 1]
        rows = [{"id": n, "vector": [1, i, 0, 0]} for i, n in enumerate(numbers)]
        given = schema("int64").with_metadata({b"kept": b"as it is"})
        with instance.create(new_uri(), given, metric="l2") as store:
            store.add(rows)
            assert 1 == store.delete([-1, 5])
            assert [2**63 - 1, 0] == store.get([2**63 - 1, -1, 0])["id"].to_pylist()
            assert 1 == store.count("id < 0")
            store.close()
            with instance.open(store.uri) as again:
                assert b"as it is" == again.schema.metadata[b"kept"]
                assert [-(2**63)] == again.search([1, 0, 0, 0], 1)["id"].to_pylist()

    def test_ids_are_any_texts(self, store: VectorStore) -> None:
        """Quotes, spaces, other scripts, and what looks like SQL."""
        ids = ["it's", " ", '"; DROP TABLE x; --', "香蕉", "m0 ", "%", "a/b\\c", "M0"]
        assert len(ids) == store.add([{**GOOD, "id": row_id} for row_id in ids])
        assert ids == store.get(ids)["id"].to_pylist()
        assert 1 == store.count("id = 'it''s'")
        assert len(ids) == store.delete(ids)
        assert plain(ROWS, "cosine").keys() == plain(_all(store), "cosine").keys()

    @pytest.mark.parametrize("case", _BAD)
    def test_bad_rows_change_nothing(self, filled: VectorStore, case: str) -> None:
        """Each is an error that names the row or column, and none of the batch is kept."""
        rows, message = _BAD[case]
        with pytest.raises(StorageError, match=message):
            filled.add(rows)
        assert plain(ROWS, "cosine") == plain(_all(filled), "cosine")

    def test_zero_vectors_have_no_cosine(self, filled: VectorStore) -> None:
        """Neither in a row nor in a query."""
        with pytest.raises(StorageError, match=r"row 0 .*is zero"):
            filled.upsert([{"id": "zero", "vector": [0, 0, 0, 0]}])
        with pytest.raises(StorageError, match="zero"):
            filled.search([0, 0, 0, 0])

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda s: s.search([1, 2]), "expected 4 numbers"),
            (lambda s: s.search([1, 2, 3, np.nan]), "holds nan"),
            (lambda s: s.search("text"), "expected 4 numbers"),
            (
                lambda s: s.search([[1, 2, 3, 4]] * 2),
                "one query.*search_batch takes several",
            ),
            (lambda s: s.search_batch([1, 2, 3, 4]), "expected several queries.*search takes one"),
            (lambda s: s.search_batch([[1, 2, 3, 4], [1, 2, 3, 1e39]]), r"query 1: .*1e\+39"),
            (lambda s: s.search([1, 2, 3, 4], 0), "k is 0"),
            (lambda s: s.search([1, 2, 3, 4], 2.5), "k is 2.5; expected a whole number"),
            (lambda s: s.search([1, 2, 3, 4], True), "k is True"),
            (lambda s: s.search([1, 2, 3, 4], columns="year"), "a list of columns, got the text"),
            (lambda s: s.delete("m1"), "expected a list of ids, got 'm1'"),
            (lambda s: s.get("m1"), "expected a list of ids, got 'm1'"),
            (lambda s: s.get(b"m1"), "expected a list of ids"),
            (lambda s: s.get(["m1", None]), "with a missing one"),
            (lambda s: s.search([1, 2, 3, 4], columns=["yaer"]), "did you mean 'year'"),
            (
                lambda s: s.search([1, 2, 3, 4], filter="yaer = 3"),
                "did you mean 'year'.*character 1",
            ),
            (lambda s: s.count("year = 'x'"), "expected a number.*character 8"),
            (lambda s: s.count("year > 3 AND"), "expected a column; got the end"),
            (lambda s: s.delete(), "either ids or a filter"),
            (lambda s: s.delete([1]), "expected a text, got 1"),
            (lambda s: s.delete(filter="vector = 3"), "no column 'vector'"),
        ],
    )
    def test_bad_questions_are_errors(
        self, filled: VectorStore, call: Callable[[VectorStore], object], message: str
    ) -> None:
        """With what is wrong, and where."""
        with pytest.raises(StorageError, match=message):
            call(filled)

    def test_what_it_cannot_do_is_an_error(self, filled: VectorStore, tmp_path: Path) -> None:
        """What it declares works; the rest says what to do instead."""
        calls: dict[Any, Callable[[], object]] = {
            "approximate": lambda: filled.search([1, 2, 3, 4], exact=False),
            "text": lambda: filled.search_text("cat"),
            "text filters": lambda: filled.count("lang LIKE 'e%'"),
            "snapshot": lambda: filled.snapshot(str(tmp_path / "snapshot")),
        }
        for capability, call in calls.items():
            if capability in filled.backend.capabilities:
                call()
            else:
                with pytest.raises(
                    StorageError, match=r"cannot .*; expected .*, or a store of a backend"
                ):
                    call()

    def test_snapshots_are_restored(
        self, instance: StorageBackend, store: VectorStore, new_uri: Callable[[], str]
    ) -> None:
        """As it was, whatever came after; a snapshot is a store of its own."""
        if "snapshot" not in instance.capabilities:
            pytest.skip("it does not declare snapshot")
        place = new_uri()
        store.snapshot(place)
        store.delete(filter="year > 0")
        store.upsert([{**GOOD, "id": "m1"}])
        with pytest.raises(StorageError):
            store.snapshot(place)
        with pytest.raises(StorageError):
            store.restore(new_uri())
        store.restore(place)
        assert plain(ROWS, "cosine") == plain(_all(store), "cosine")
        store.upsert([{**GOOD, "id": "m2"}])
        store.close()
        with instance.open(store.uri) as again, instance.open(place) as snapshot:
            assert [1, 2, 3, 4] == [x * 4 for x in _unit(again.get(["m2"]))]
            assert plain(ROWS, "cosine") == plain(_all(snapshot), "cosine")

    def test_snapshots_are_apart_and_of_one_embedding(
        self, instance: StorageBackend, store: VectorStore, new_uri: Callable[[], str]
    ) -> None:
        """Fault V19: a store takes back no vectors that another embedding made, nor any in it."""
        if "snapshot" not in instance.capabilities:
            pytest.skip("it does not declare snapshot")
        place, count = new_uri(), len(ROWS)
        other = Maker("another", {"type": "another"}).write(schema())
        with instance.create(place, other) as made:
            made.add(ROWS)
        with pytest.raises(StorageError, match="expected a snapshot of this store"):
            store.restore(place)
        with pytest.raises(StorageError, match="expected a place outside of it"):
            store.snapshot(f"{store.uri}/inside")
        assert count == store.verify()

    def test_places_of_unknown_schemes_are_no_folders(self, instance: StorageBackend) -> None:
        """Fault N6: a backend says which URIs of servers it knows, or refuses them itself."""
        uri = "unheard-of://host/notes?table=notes"
        if instance.schemes is not None:
            assert all(
                scheme == scheme.lower() and "://" not in scheme for scheme in instance.schemes
            )
            assert "unheard-of" not in instance.schemes
            return
        with pytest.raises(StorageError):
            instance.create(uri, schema())
        assert not Path(uri).exists()

    def test_snapshots_of_other_stores_are_refused(
        self, instance: StorageBackend, store: VectorStore, new_uri: Callable[[], str]
    ) -> None:
        """Of another metric, or with other columns; nothing has changed."""
        if "snapshot" not in instance.capabilities:
            pytest.skip("it does not declare snapshot")
        other = store_schema(DIM, {"year": "int64"})
        for given, metric in ((schema(), "l2"), (schema(), "dot"), (other, "cosine")):
            place: Any = new_uri()
            with instance.create(new_uri(), given, metric=cast("Any", metric)) as source:
                source.add([{"id": "x", "vector": [9, 0, 0, 1]}])
                source.snapshot(place)
            with pytest.raises(StorageError):
                store.restore(place)
            assert plain(ROWS, "cosine") == plain(_all(store), "cosine")
            assert "cosine" == store.metric

    def test_places_are_checked(
        self, instance: StorageBackend, store: VectorStore, new_uri: Callable[[], str]
    ) -> None:
        """Nothing is opened where no store is, nor made where one is."""
        nowhere = new_uri()
        assert not instance.exists(nowhere)
        with pytest.raises(StorageError):
            instance.open(nowhere)
        store.close()
        with pytest.raises(StorageError):
            instance.create(store.uri, schema())
        with instance.open(store.uri) as again:
            assert len(ROWS) == again.count()
        if "://" not in nowhere:
            folder = Path(new_uri())
            folder.mkdir()
            (folder / "note.txt").write_text("mine")
            assert not instance.exists(str(folder))
            with pytest.raises(StorageError):
                instance.open(str(folder))
            with pytest.raises(StorageError):
                instance.create(str(folder), schema())
            if "snapshot" in instance.capabilities:
                with instance.open(store.uri) as again, pytest.raises(StorageError):
                    again.snapshot(str(folder))
            assert ["note.txt"] == [path.name for path in folder.iterdir()]

    def test_readers_and_closed_stores_refuse(
        self, instance: StorageBackend, store: VectorStore
    ) -> None:
        """To write, or to do anything; who reads leaves every file as it is."""
        store.close()
        store.close()
        before = manifest(Path(store.uri))
        with pytest.raises(StorageError, match="closed"):
            store.count()
        with instance.open(store.uri, read_only=True) as reader:
            with pytest.raises(StorageError, match="reading only"):
                reader.add([GOOD])
            with pytest.raises(StorageError, match="reading only"):
                reader.delete(["m1"])
            assert len(ROWS) == reader.verify()
            reader.search([1, 2, 3, 4])
            if "text" in instance.capabilities:
                reader.search_text("cat")
        assert before == manifest(Path(store.uri))

    def test_is_like_a_dict(
        self, instance: StorageBackend, filled: Any, new_uri: Callable[[], str]
    ) -> None:
        """Whatever is done to it, in any order."""
        machine = type("Machine", (StoreMachine,), {"backend": instance, "new_uri": new_uri})
        run_state_machine_as_test(
            machine,
            settings=settings(
                deadline=None,
                max_examples=self.examples,
                stateful_step_count=12,
                phases=[Phase.explicit, Phase.generate],  # a shorter example takes minutes
                database=None,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )


def _all(store: VectorStore) -> list[dict[str, Any]]:
    return [row for batch in store.to_batches() for row in batch.to_pylist()]


def _unit(rows: pa.Table) -> list[float]:
    """The first vector, scaled so that its last number is 1."""
    vector = rows.column("vector")[0].as_py()
    return [round(x / vector[-1], 5) for x in vector]
