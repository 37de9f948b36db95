"""What a backend's author writes has public names, and no other name can be taken by accident."""

import inspect
import pydoc
import re

import numpy as np
import pyarrow as pa
import pytest

from aios_core import contracts
from aios_core.contracts import StorageBackend, VectorStore, store_schema
from aios_core.contracts.primitives import StorePrimitives, id_taken, scored_rows
from aios_core.contracts.records import vectors_of
from aios_core.contracts.sharing import SharedStore
from aios_core.errors import StorageError
from aios_core.filters.arrow import mask

SCHEMA = store_schema(2, {"n": "int64"})


class Memory(StorageBackend):
    """The smallest backend that is of use."""

    capabilities = frozenset({"text"})

    def exists(self, uri):
        return False

    def create(self, uri, schema, *, metric="cosine"):
        return Rows(self, uri, schema, metric)

    def open(self, uri, *, read_only=False):
        raise StorageError("nothing is kept")


class Rows(VectorStore):
    """Its store, of the five methods, and one that a capability asks for."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.table = self.schema.empty_table()

    def write_rows(self, rows, *, replace):
        ids = rows["id"].to_pylist()
        known = [id_ for id_ in ids if id_ in self.table["id"].to_pylist()]
        if known and not replace:
            raise id_taken(self, known[0])
        self.remove_rows(ids)
        self.table = pa.concat_tables([self.table, rows])

    def remove_rows(self, ids):
        kept = pa.array([value not in ids for value in self.table["id"].to_pylist()], pa.bool_())
        gone = len(kept) - kept.true_count
        self.table = self.table.filter(kept)
        return gone

    def fetch_rows(self, ids, columns):
        place = {value: row for row, value in enumerate(self.table["id"].to_pylist())}
        rows = pa.array([place[id_] for id_ in ids if id_ in place], pa.int64())
        return self.table.take(rows).select(columns)

    def nearest_rows(self, queries, k, where, exact, columns):
        rows = pa.concat_tables([self.schema.empty_table(), *self.scan_rows(None, where)])
        results = []
        for query in queries:
            scores = vectors_of(rows) @ query
            best = np.argsort(-scores, kind="stable")[:k]
            column = pa.array(scores[best].astype(np.float32))
            results.append(rows.take(best).select(columns).append_column("_score", column))
        return results

    def scan_rows(self, columns, where):
        rows = self.table
        if where is not None:
            rows = rows.filter(pa.array(mask(where, rows)))
        yield rows if columns is None else rows.select(columns)

    def match_text(self, text, k, where, columns):
        rows = self.table.to_pylist()
        return scored_rows(self, [(r["id"], 1.0) for r in rows if r["text"] == text][:k], columns)


def use(kind):
    """What a user does with a store, in every way."""
    store = kind(Memory(), "there", SCHEMA, "dot")
    with store:
        rows = [{"id": str(n), "vector": [1, n], "n": n, "text": str(n)} for n in range(4)]
        assert 4 == store.add(rows)
        with pytest.raises(StorageError, match="id '0' is in there already"):
            store.add(rows[:1])
        assert 1 == store.upsert([{**rows[3], "n": 30}])
        assert 1 == store.delete(filter="n = 2")
        assert 1 == store.delete(["1"])
        assert ["3", "0"] == store.search([0, 1], 5)["id"].to_pylist()
        assert ["0"] == store.search_batch([[0, 1]], filter="n < 30")[0]["id"].to_pylist()
        assert ["3"] == store.search_text("3")["id"].to_pylist()
        assert ["0", "3"] == store.search_hybrid([0, -1], "0")["id"].to_pylist()
        assert [30, 0] == store.get(["3", "0"])["n"].to_pylist()
        assert 2 == store.count() == store.verify() == store.stats().rows
        assert 2 == sum(batch.num_rows for batch in store.to_batches())
        store.compact()
        store.flush()
    assert store.closed


def helper(self, *_, **__):
    raise AssertionError("an author's helper was called by the base")


def names(*classes):
    """Of methods, without those that Python calls."""
    return [
        name
        for cls in classes
        for name, value in vars(cls).items()
        if inspect.isfunction(value) and not name.endswith("__")
    ]


OURS = sorted({*names(VectorStore, SharedStore), *inspect.get_annotations(StorePrimitives)})
FREE = ["where", "ids", "put", "columns", "queries", "ready", "need", "search", "most", "scored"]
FREE = [*(f"_{name}" for name in [*FREE, "taken", "lock", "write", "scan"]), "id_taken", "rows"]


def test_five_methods_make_a_store():
    use(Rows)


@pytest.mark.parametrize("name", OURS)
def test_a_name_of_the_base_is_refused(name):
    """Section 4, storage plugin: a helper named like one of ours, in a class or a mixin."""
    with pytest.raises(TypeError, match=rf"test_shadowing\.Mine defines '{name}'.*VectorStore"):
        type("Mine", (Rows,), {name: helper, "__module__": __name__})
    mixin = type("Mixin", (), {name: property(helper), "__module__": __name__})
    with pytest.raises(TypeError, match=rf"test_shadowing\.Mixin defines '{name}'.*VectorStore"):
        type("Mine", (mixin, Rows), {})


@pytest.mark.parametrize("name", sorted({*names(VectorStore, SharedStore)}))
def test_an_attribute_hides_no_method(name):
    """Section 4, storage plugin: as `self.count = 0` would."""
    store = Rows(Memory(), "there", SCHEMA, "dot")

    with pytest.raises(TypeError, match=rf"defines '{name}', which VectorStore uses itself"):
        setattr(store, name, helper)


@pytest.mark.parametrize("name", names(StorePrimitives))
def test_what_an_author_writes_is_a_method(name):
    """Section 4, storage plugin: as `self.count_rows = 0` would be none."""
    store = Rows(Memory(), "there", SCHEMA, "dot")

    with pytest.raises(TypeError, match=rf"defines '{name}', which VectorStore calls.*got 0"):
        setattr(store, name, 0)
    with pytest.raises(TypeError, match=rf"Mine defines '{name}', which VectorStore calls.*got 0"):
        type("Mine", (Rows,), {name: 0})


@pytest.mark.parametrize("name", FREE)
def test_any_other_name_is_the_authors(name):
    """Section 4, storage plugin: `_where` gave "'str' object has no attribute 'parts'"."""
    use(type("Mine", (Rows,), {name: helper}))

    class Attribute(Rows):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            setattr(self, name, 0)

    use(Attribute)


def test_a_class_of_our_name_is_told_of_private_names():
    """Python puts the name of the class before what begins with two underscores."""
    with pytest.raises(TypeError, match="defines '_VectorStore__where'"):

        class VectorStore(contracts.VectorStore):
            def __where(self):
                pass


def test_help_says_what_to_write_first():
    """Section 4, storage plugin: `help` hides what begins with an underscore."""
    text = pydoc.plain(pydoc.render_doc(StorePrimitives))
    named = re.findall(r"`(\w+)`", inspect.getdoc(StorePrimitives))

    assert {*named[1:6]} == StorePrimitives.__abstractmethods__
    assert {*names(StorePrimitives), "id_taken", "scored_rows"} <= {*named}
    assert not [name for name in names(StorePrimitives) if name.startswith("_")]
    for name in names(StorePrimitives):
        assert f"{name}(self" in text
        assert inspect.getdoc(getattr(StorePrimitives, name))
