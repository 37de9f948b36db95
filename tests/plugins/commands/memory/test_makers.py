"""Texts are embedded by what made the vectors of a store, and by nobody else."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from aios_core.contracts import store_schema
from aios_core.contracts.maker import Maker
from aios_core.errors import DataError, StorageError
from aios_core.memory import Embedder, Place, open_store
from aios_core.memory.opening import UnknownMakerError, embedder, embedder_of
from aios_plugins.commands.memory.exporting import export_file
from aios_plugins.commands.memory.importing import import_file
from aios_plugins.commands.memory.migrating import migrate
from aios_plugins.conditioners._recall import Recall
from aios_plugins.embeddings.hashing import Hashing
from aios_plugins.storage.arrow import Arrow
from aios_plugins.storage.numpy import Numpy

HASHED = Maker("hashing-1-16", {"type": "hashing", "dim": 16})
SET = ["embedding.type=hashing", "embedding.dim=16"]


@pytest.fixture
def file(tmp_path):
    """A function that writes rows to a file of JSON lines."""

    def write(*rows, name="in.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def place(tmp_path):
    """A function from a name to a place in a folder of its own."""
    return lambda name, backend=Numpy: Place(backend(), str(tmp_path / name))


def own(count=3, dim=16):
    vectors = np.random.default_rng(0).normal(size=(count, dim)).round(3).tolist()
    return [{"id": f"o{i}", "text": f"own {i}", "vector": v} for i, v in enumerate(vectors)]


def maker(place):
    with open_store(place, read=True) as store:
        return Maker.read(store.schema)


def test_the_maker_of_own_vectors_is_unknown(file, place):
    """Fault V5: 384 numbers of somebody's are not those of the default embedding."""
    import_file(place("own"), file(*own(dim=384)))
    with open_store(place("own")) as store:
        assert Maker.read(store.schema) is None

        with pytest.raises(UnknownMakerError, match=r"set \[embedding\]"):
            embedder(store.schema)
        with pytest.raises(UnknownMakerError):
            embedder_of(store.schema, Hashing())
        assert 384 == embedder(store.schema, overrides=["embedding.dim=384"])[0].provider.dim
        with pytest.raises(
            StorageError, match="makes vectors of 16 numbers, but the store has 384"
        ):
            embedder(store.schema, overrides=SET)


def test_a_configuration_file_says_it_too(file, place, tmp_path):
    """Fault V5: its [embedding] is set, that of no file is not."""
    import_file(place("own"), file(*own()))
    config = tmp_path / "c.toml"
    for text, known in (("[embedding]\ndim = 16\n", True), ("[storage]\ntype = 'numpy'\n", False)):
        config.write_text(text)
        with open_store(place("own")) as store:
            if known:
                assert 16 == embedder(store.schema, config=config)[0].provider.dim
                continue
            with pytest.raises(UnknownMakerError):
                embedder(store.schema, config=config)


def test_a_text_is_not_mixed_into_own_vectors(file, place):
    """Fault V5: unless [embedding] says who made them."""
    import_file(place("own"), file(*own()))
    text = file({"id": "t", "text": "a text"}, name="text.jsonl")

    with pytest.raises(StorageError, match=r"text.jsonl:1: has no vector, and the store does not"):
        import_file(place("own"), text)
    assert 4 == import_file(place("own"), text, overrides=SET).rows


def test_own_vectors_are_not_mixed_into_those_of_an_embedding(file, place):
    """Fault V5: the other way round."""
    import_file(place("texts"), file({"id": "t", "text": "a text"}), overrides=SET)
    vectors = file(*own(), name="own.jsonl")

    with pytest.raises(
        StorageError, match=r"own.jsonl:1: id 'o0': .* not recorded, those of .* 16"
    ):
        import_file(place("texts"), vectors)
    assert 4 == import_file(place("texts"), vectors, overrides=SET).rows


def test_the_embedding_that_is_set_says_who_made_the_vectors_of_a_new_store(file, place):
    """Fault V5: so that nobody has to say it again."""
    import_file(place("said"), file(*own()), overrides=SET)

    assert HASHED == maker(place("said"))
    with pytest.raises(StorageError, match=r"vectors of 16 numbers, but .* makes 384"):
        import_file(place("wrong"), file(*own()), overrides=["embedding.type=hashing"])


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
@pytest.mark.parametrize("backend", [Arrow, Numpy])
def test_files_carry_the_maker(file, place, tmp_path, suffix, backend):
    """Fault V19: through an export and an import of either kind."""
    import_file(place("a", backend), file({"id": "t", "text": "the gate"}), overrides=SET)
    path = tmp_path / f"out.{suffix}"
    with open_store(place("a", backend), read=True) as store:
        export_file(store, path)
    import_file(place("b", backend), path)

    assert HASHED == maker(place("b", backend))
    import_file(place("other", backend), file({"id": "x", "text": "y"}))
    with pytest.raises(
        StorageError, match="made by the embedding type = 'hashing', dim = 16, those"
    ):
        import_file(place("other", backend), path)
    assert 1 == import_file(place("a", backend), path, existing="replace").replaced


def test_the_embedding_that_is_set_does_not_overrule_a_file(file, place, tmp_path):
    """Fault V19: vectors whose maker is known are not said to be another's, of the same width."""
    import_file(place("a"), file({"id": "t", "text": "the gate"}), overrides=SET)
    path = tmp_path / "out.parquet"
    with open_store(place("a"), read=True) as store:
        export_file(store, path)
    table = pq.read_table(path)
    other = Maker("another", {"type": "another"}).write(table.schema)
    pq.write_table(table.cast(other), path)

    with pytest.raises(StorageError, match=r"of the embedding type = 'another', but .* is set"):
        import_file(place("b"), path, overrides=SET)
    assert not place("b").folder.exists()
    import_file(place("b"), path)
    assert "another" == maker(place("b")).fingerprint


def test_lines_of_two_makers_are_refused(file, place):
    """Fault V19: in one file."""
    said = {"_embedding": HASHED.plain()}
    first, second, _ = own()

    with pytest.raises(DataError, match=r"in.jsonl:2: has one that does not say whose"):
        import_file(place("a"), file(first | said, second))
    with pytest.raises(DataError, match=r"in.jsonl:1: '_embedding': expected an object with"):
        import_file(place("a"), file(first | {"_embedding": [1]}))
    assert not (place("a").folder).exists()


def test_parquet_keeps_an_empty_store(place, tmp_path):
    """Fault V19: all of its schema, its metric and its maker."""
    schema = HASHED.write(store_schema(16, {"n": "int64", "f": "float64"}, id_type="int64"))
    with open_store(place("a"), schema=schema, metric="l2") as store:
        assert 0 == export_file(store, tmp_path / "out.parquet")
    done = import_file(place("b"), tmp_path / "out.parquet")
    with open_store(place("b")) as store:
        assert (schema, "l2", 0) == (store.schema, store.metric, done.rows)
        assert HASHED == Maker.read(store.schema)


def test_parquet_keeps_the_type_of_columns_without_values(place, tmp_path):
    """Fault V19: an exported column is not guessed anew."""
    schema = store_schema(2, {"n": "int64"}, text=False)
    with open_store(place("a"), schema=schema, metric="dot") as store:
        store.add([{"id": "a", "vector": [1, 2]}])
        export_file(store, tmp_path / "out.parquet")
    import_file(place("b"), tmp_path / "out.parquet")
    with open_store(place("b")) as store:
        assert ("dot", schema) == (store.metric, store.schema)


def test_other_tools_that_drop_the_schema_drop_the_maker(file, place, tmp_path):
    """Fault V19: what is not said is not guessed."""
    import_file(place("a"), file({"id": "t", "text": "the gate"}), overrides=SET)
    with open_store(place("a")) as store:
        export_file(store, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet").replace_schema_metadata(None)
    pq.write_table(table, tmp_path / "plain.parquet")
    import_file(place("b"), tmp_path / "plain.parquet")

    assert maker(place("b")) is None


@pytest.mark.parametrize("backend", [Arrow, Numpy])
def test_stores_of_two_makers_do_not_move_into_each_other(file, place, backend):
    """Fault V19: neither by migration nor by a snapshot."""
    text = file({"id": "t", "text": "the gate"})
    import_file(place("a", backend), text, overrides=SET)
    row = json.loads(text.read_text()) | {"vector": Hashing(16).embed(["the gate"])[0].tolist()}
    import_file(place("b", backend), file(row))
    with open_store(place("a", backend)) as a, open_store(place("b", backend)) as b:
        with pytest.raises(StorageError, match=r"dim = 16, and .* of an embedding that is not rec"):
            migrate(a, b)
        b.snapshot(f"{b.uri}.copy")
        with pytest.raises(StorageError, match="expected a snapshot of this store"):
            a.restore(f"{b.uri}.copy")
        a.snapshot(f"{a.uri}.copy")
        a.restore(f"{a.uri}.copy")
        assert 1 == a.count()


def test_memories_are_recalled_by_what_made_them(file, place):
    """Fault V5: also where a program names the embedding."""
    import_file(place("a"), file({"id": "t", "text": "the gate"}), overrides=SET)

    class Other(Hashing):
        fingerprint = "another"

    with open_store(place("a")) as store:
        with pytest.raises(StorageError, match="made by another embedding"):
            Recall(store, Embedder(Other(16)))
        assert "the gate" == Recall(store, Embedder(Hashing(16)))(["gate"], 1).rows[0][0].text


def test_queries_are_embedded_as_queries(file, place):
    """Models with two sides, such as E5, find little by a query that is embedded as a document."""
    sides = []

    class TwoSided(Hashing):
        def embed(self, texts, *, side="document"):
            sides.append(side)
            return super().embed(texts, side=side)

    import_file(place("a"), file({"id": "t", "text": "the gate"}), overrides=SET)
    with open_store(place("a")) as store:
        Recall(store, Embedder(TwoSided(16)))(["gate"], 1)

    assert ["query"] == sides


def test_the_maker_that_is_written_is_the_one_that_is_read():
    """Fault V5: in a schema that names another, whose other metadata and columns stay."""
    other = Maker("hashing-1-8", {"type": "hashing", "dim": 8})
    schema = store_schema(16, {"n": "int64"}).with_metadata({b"mine": b"kept"})
    for makers in ((HASHED,), (other, HASHED), (HASHED, other, HASHED), (HASHED, other)):
        said = schema
        for maker in makers:
            said = maker.write(said)

        assert makers[-1] == Maker.read(said)
        assert makers[-1].values == Maker.read(said).values
        assert b"kept" == said.metadata[b"mine"]
        assert said.equals(schema)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_an_export_that_is_stopped_leaves_the_old_file(tmp_path, suffix):
    """Or none: a file appears as a whole."""
    path = tmp_path / "out" / f"a.{suffix}"
    path.parent.mkdir()

    def stop(_):
        raise KeyboardInterrupt

    with Numpy().create(str(tmp_path / "store"), store_schema(2), metric="dot") as store:
        store.add([{"id": "a", "vector": [1, 2]}])
        with pytest.raises(KeyboardInterrupt):
            export_file(store, path, on_progress=stop)
        assert [] == list(path.parent.iterdir())
        path.write_text("mine")
        with pytest.raises(KeyboardInterrupt):
            export_file(store, path, on_progress=stop, overwrite=True)

    assert "mine" == path.read_text()
    assert [path] == list(path.parent.iterdir())


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_an_export_has_the_columns_that_were_asked_for_in_their_order(tmp_path, suffix):
    """Each once, of the rows that a filter chooses, which are counted and reported."""
    path, reports = tmp_path / f"out.{suffix}", []
    schema = store_schema(2, {"b": "int64", "a": "string"})
    with Numpy().create(str(tmp_path / "store"), schema, metric="dot") as store:
        store.add([{"id": str(n), "vector": [1, n], "b": n, "a": "x"} for n in range(5)])
        columns = ["b", "id", "b", "a"]
        count = export_file(
            store, path, filter="b >= 3", columns=columns, on_progress=reports.append
        )
        with pytest.raises(StorageError, match="there already"):
            export_file(store, path)
        assert 5 == export_file(store, path, overwrite=True, columns=["a"])
        assert 2 == count == sum(reports)
        export_file(store, path, filter="b >= 3", columns=columns, overwrite=True)
    if suffix == "parquet":
        rows = pq.read_table(path).to_pylist()
    else:
        rows = [json.loads(line) for line in path.read_text().splitlines()]

    assert [{"b": n, "id": str(n), "a": "x"} for n in (3, 4)] == rows
    assert [["b", "id", "a"]] * 2 == [list(row) for row in rows]
