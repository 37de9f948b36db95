"""Files into stores: which rows, which error, and what stays."""

import json
import re
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_core.contracts import store_schema
from aios_core.errors import AIOSError, DataError, StorageError
from aios_core.memory import Place, open_store
from aios_plugins.commands.memory import importing
from aios_plugins.commands.memory.importing import import_file
from aios_plugins.readers.parquet import Parquet
from aios_plugins.storage.arrow import Arrow
from aios_plugins.storage.numpy import Numpy

SET = ["embedding.dim=16"]


@pytest.fixture
def place(tmp_path):
    return Place(Numpy(), str(tmp_path / "store"))


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def held(place):
    with open_store(place, read=True) as store:
        rows = [row for batch in store.to_batches() for row in batch.to_pylist()]
    return {row["id"]: row["text"] for row in rows}


@pytest.mark.parametrize(("existing", "kept"), [("replace", "last"), ("skip", "first")])
@pytest.mark.parametrize("distance", [1, 255, 256, 300])
def test_of_ids_that_come_twice_the_first_or_the_last_counts(
    place, tmp_path, existing, kept, distance
):
    """Fault V7: whether they stand in one batch or far apart."""
    rows = [{"id": f"k{i}", "text": f"first {i}"} for i in range(distance)]
    rows += [{"id": "k0", "text": "last 0"}]
    done = import_file(place, lines(tmp_path / "a.jsonl", rows), existing=existing, overrides=SET)

    assert f"{kept} 0" == held(place)["k0"]
    assert (distance, distance) == (done.added, done.rows)
    assert (1, 0) == (
        (done.replaced, done.skipped) if kept == "last" else (done.skipped, done.replaced)
    )


@pytest.mark.parametrize("distance", [1, 256, 300])
@pytest.mark.parametrize("new", [True, False])
def test_ids_that_come_twice_are_refused_before_anything_is_written(place, tmp_path, distance, new):
    """Fault V7: with both lines."""
    if not new:
        import_file(place, lines(tmp_path / "b.jsonl", [{"id": "x", "text": "y"}]), overrides=SET)
    rows = [{"id": i, "text": f"first {i}"} for i in range(distance)]
    path = lines(tmp_path / "a.jsonl", [*rows, {"id": "0", "text": "as text"}])

    message = rf"a.jsonl:{distance + 1}: id '0' comes twice, first in .*a.jsonl:1; .*existing"
    with pytest.raises(DataError, match=message):
        import_file(place, path, overrides=SET)
    assert ({} if new else {"x": "y"}) == (held(place) if not new else {})
    assert new == (not place.folder.exists())


def test_ids_of_the_store_are_refused_before_anything_is_written(place, tmp_path):
    """Fault V7: the last of 600 rows is there already."""
    import_file(place, lines(tmp_path / "b.jsonl", [{"id": "k599", "text": "y"}]), overrides=SET)
    path = lines(tmp_path / "a.jsonl", [{"id": f"k{i}", "text": "x"} for i in range(600)])

    with pytest.raises(StorageError, match=r"a.jsonl:600: id 'k599' is in the store already"):
        import_file(place, path)
    assert {"k599": "y"} == held(place)


@settings(max_examples=30)
@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=12), st.integers(1, 5))
def test_batches_do_not_matter(tmp_path_factory, ids, size):
    """Fault V7: for any file and any size of batches."""
    folder = tmp_path_factory.mktemp("batches")
    path = lines(folder / "a.jsonl", [{"id": i, "text": f"{n}"} for n, i in enumerate(ids)])
    first, last = {}, {}
    for number, id_ in enumerate(ids):
        first.setdefault(id_, f"{number}")
        last[id_] = f"{number}"
    for existing, right in (("skip", first), ("replace", last)):
        place = Place(Numpy(), str(folder / existing))
        done = import_file(place, path, existing=existing, batch_size=size, overrides=SET)

        assert right == held(place)
        assert (len(right), len(ids) - len(right)) == (done.added, done.replaced + done.skipped)


BAD = [
    ({"n": 123456789012345678901234567890}, "expected a whole number of at most 64 bits under 'n'"),
    ({"n": float("nan")}, "expected a finite number under 'n', or null, got nan; `nan` = missing"),
    ({"n": float("inf")}, "expected a finite number under 'n', or null, got inf"),
    ({"n": [1.5, float("nan")]}, "a finite number under 'n', or null, got nan; `nan` = missing"),
    ({"n": {"a": [float("inf")]}}, "expected a finite number under 'n', or null, got inf"),
    ({"id": 2**63}, "at most 64 bits under 'id', got 9223372036854775808; write it as text"),
    ({"id": -(2**70)}, "at most 64 bits under 'id'"),
    ({"vector": []}, "expected numbers under 'vector', got none"),
    ({"text": None}, "expected a text under 'text', got null"),
]
BAD_VECTORS = [
    ([0.0, 0.0], "zero"),
    ([float("nan"), 1.0], "nan"),
    ([1e39, 1.0], "1e"),
]


@pytest.mark.parametrize(("bad", "message"), BAD)
@pytest.mark.parametrize("backend", [Arrow, Numpy])
def test_a_first_import_that_fails_leaves_nothing(tmp_path, bad, message, backend):
    """Fault V10 and Fault V12: and the repaired file is imported."""
    place, path = Place(backend(), str(tmp_path / "store")), tmp_path / "a.jsonl"
    with pytest.raises(DataError, match=message) as error:
        import_file(place, lines(path, [{"id": 1, "text": "fine"}, {"text": "x", **bad}]))

    assert f"{path}:2: " in str(error.value)
    assert not place.folder.exists()
    import_file(place, lines(path, [{"text": "x", "n": "a text"}]))
    assert ["x"] == list(held(place).values())


@pytest.mark.parametrize(("vector", "message"), BAD_VECTORS)
@pytest.mark.parametrize("backend", [Arrow, Numpy])
def test_a_vector_that_cannot_be_kept_leaves_nothing(tmp_path, vector, message, backend):
    """Fault V10 and Fault V11: of a first import; and the error names the line and the id."""
    place, path = Place(backend(), str(tmp_path / "store")), tmp_path / "a.jsonl"
    rows = [{"id": "a", "vector": [1.0, 2.0]}, {"id": "b", "vector": vector}]
    with pytest.raises(StorageError, match=message) as error:
        import_file(place, lines(path, rows))

    assert f"{path}:2: id 'b': " in str(error.value)
    assert not place.folder.exists()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"n": 3.99}, "3.99"),
        ({"n": "text"}, "n"),
        ({"n": 2**64}, "n"),
        ({"m": 1}, "there is no column 'm'"),
        ({"vector": [1, 2, 3]}, "3"),
        ({"vector": [0.0] * 16}, "zero"),
        ({"vector": [float("nan")] * 16}, "nan"),
    ],
)
def test_errors_name_the_line_of_the_file(place, tmp_path, bad, message):
    """Fault V11: and the id, however far into the file; what was added before is reported."""
    import_file(
        place, lines(tmp_path / "b.jsonl", [{"id": "x", "text": "y", "n": 1}]), overrides=SET
    )
    rows = [{"id": f"k{i}", "text": "x", "n": i} for i in range(700)]
    rows[600] |= bad
    with pytest.raises(StorageError, match=message) as error:
        import_file(place, lines(tmp_path / "a.jsonl", rows), overrides=SET, existing="skip")

    assert f"{tmp_path / 'a.jsonl'}:601: id 'k600': " in str(error.value)
    assert "\n512 rows of" in str(error.value)
    assert "`existing` = skip" in str(error.value)
    assert 513 == len(held(place))


def test_a_bad_line_says_what_was_added_before(place, tmp_path):
    """Fault V11: also one that is no JSON."""
    path = lines(tmp_path / "a.jsonl", [{"id": f"k{i}", "text": "x"} for i in range(300)])
    import_file(place, path, overrides=SET)
    path.write_text(path.read_text().replace("k", "n") + "{")

    with pytest.raises(DataError, match=r"a.jsonl:301: is not JSON(.|\n)*256 rows of .* before"):
        import_file(place, path, existing="skip")


def test_nan_is_no_value_where_that_is_asked_for(place, tmp_path):
    """Fault V11: pandas writes it for what is missing, into columns of texts as well."""
    rows = [{"id": "a", "text": "x", "n": float("nan"), "s": float("nan")}]
    rows += [{"id": "b", "text": "x", "n": 1.5, "s": "a text"}]
    import_file(place, lines(tmp_path / "a.jsonl", rows), nan="missing", overrides=SET)
    table = pa.table({"id": ["c"], "text": ["x"], "n": [float("nan")]})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a.parquet: row 1: .* 'n'"):
        import_file(place, tmp_path / "a.parquet")
    import_file(place, tmp_path / "a.parquet", nan="missing")
    with open_store(place) as store:
        result = store.get(["a", "b", "c"], columns=["n", "s"]).to_pylist()

    nothing = {"n": None, "s": None}
    assert [nothing, {"n": 1.5, "s": "a text"}, nothing] == result


def test_parquet_of_wide_numbers_and_fine_times(place, tmp_path):
    """Fault V12: pandas' own types of ids and times."""
    ids = pa.array([1, 2**64 - 1], pa.uint64())
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ids, "text": ["a", "b"]}), path)
    with pytest.raises(DataError, match=r"a.parquet: row 2: .* got 18446744073709551615"):
        import_file(place, path)
    times = [0, 1_700_000_000_123_456_789, None, -1]
    columns = {
        "text": ["a", "b", "c", "d"],
        "t": pa.array(times, pa.timestamp("ns")),
        "u": pa.array(times, pa.timestamp("ns", tz="UTC")),
        "s": pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * 4, pa.timestamp("us", tz="UTC")),
    }
    pq.write_table(pa.table(columns), path)
    import_file(place, path, overrides=SET)
    with open_store(place) as store:
        (batch,) = store.to_batches(columns=["text", "t", "u", "s"])
        rows = sorted(batch.to_pylist(), key=lambda row: row["text"])

    assert ["1970-01-01T00:00:00", "2023-11-14T22:13:20.123456789", None,
            "1969-12-31T23:59:59.999999999"] == [row["t"] for row in rows]  # fmt: skip
    assert "2023-11-14T22:13:20.123456789+00:00" == rows[1]["u"]
    assert {"2024-01-01T00:00:00+00:00"} == {row["s"] for row in rows}


def test_times_of_a_zone_sort_as_they_came(tmp_path):
    """Fault V12: the hour that comes twice in autumn is two hours, and as texts they follow."""
    path = tmp_path / "a.parquet"
    for unit in ("us", "ns"):
        column = pa.array(range(0, 4 * 1800, 1800), pa.int64()).cast(pa.timestamp("s"))
        column = pa.compute.add(column, pa.scalar(1729987200, pa.int64()).cast(pa.duration("s")))
        column = column.cast(pa.timestamp(unit)).cast(pa.timestamp(unit, tz="Europe/Berlin"))
        pq.write_table(pa.table({"t": column}), path)
        times = [row.values["t"] for row in Parquet().rows(path)]
        results = [time if isinstance(time, str) else time.isoformat() for time in times]

        assert sorted(results) == results
        assert "2024-10-27T00:00:00+00:00" == results[0]


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        (
            "a.parquet",
            {"text": ["a"], "t": pa.array([5], pa.duration("s"))},
            "'t', got a timedelta",
        ),
        ("a.parquet", {"text": ["a"], "t": [b"x"]}, "'t', got a bytes"),
    ],
)
def test_what_no_column_holds_is_named(place, tmp_path, name, table, message):
    """Fault V11: and not in the words of another library."""
    path = tmp_path / name
    pq.write_table(pa.table(table), path)
    with pytest.raises(DataError, match=re.escape(message)):
        import_file(place, path, overrides=SET)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([253402300800], pa.timestamp("s")),
        pa.array([1], pa.time64("ns")),
        pa.array([[1]], pa.list_(pa.timestamp("ns"))),
        pa.array([{"t": [1]}], pa.struct({"t": pa.large_list(pa.time64("ns"))})),
        pa.array([1], pa.duration("ns")),
        pa.array([2**40], pa.duration("s")),
    ],
)
def test_times_that_python_has_not_are_refused(place, tmp_path, column):
    """Fault V12: and no exception of another library."""
    pq.write_table(pa.table({"text": ["a"], "t": column}), tmp_path / "a.parquet")

    with pytest.raises(DataError, match=r"a\.parquet"):
        import_file(place, tmp_path / "a.parquet", overrides=SET)


def test_vectors_of_parquet_may_be_of_any_list(tmp_path):
    rng = np.random.default_rng(0)
    given_ = rng.normal(size=(5, 3))
    for number, kind in enumerate(
        [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float16(), 3)]
    ):
        values = given_.astype(kind.value_type.to_pandas_dtype())
        path, place = tmp_path / f"{number}.parquet", Place(Numpy(), str(tmp_path / f"{number}"))
        vectors = pa.array([list(row) for row in values], kind)
        pq.write_table(pa.table({"id": list("abcde"), "vector": vectors}), path)
        import_file(place, path, metric="dot")
        with open_store(place) as store:
            result = store.get(list("abcde"), columns=["vector"]).column("vector").to_pylist()

        assert values.astype(np.float32).tolist() == result


def test_values_go_into_columns_of_texts_as_json(place, tmp_path):
    """Of a store that has texts there; a text stays as it is."""
    values = ["a", 3, 0.5, True, None, "ü"]
    path = tmp_path / "a.jsonl"
    import_file(place, lines(path, [{"id": "0", "text": "x", "s": "a"}]), overrides=SET)
    rows = [{"id": n, "text": "x", "s": value} for n, value in enumerate(values[1:], 1)]
    import_file(place, lines(path, rows))
    with open_store(place) as store:
        result = store.get([str(n) for n in range(6)], columns=["s"])["s"].to_pylist()

    assert ["a", "3", "0.5", "true", None, "ü"] == result


def test_what_becomes_text_is_said(place, tmp_path, caplog):
    """Of a new store because of a row, of another one because of its column; each column once."""
    caplog.set_level("INFO")
    path = tmp_path / "a.jsonl"
    rows = [{"v": 10, "f": 1, "l": None}, {"v": "n/a", "f": 0.5, "l": [1]}, {"v": 3, "l": {"a": 1}}]
    import_file(place, lines(path, [{"text": "x", **row} for row in rows]), overrides=SET)

    mixed = f"{path}:2, which has a text, beside a whole number in {path}:1"
    assert [
        f"column 'v': kept as text because of {mixed}; expected values of one type to keep it",
        f"columns whose lists and objects are kept as JSON text: 'l' ({path}:2)",
    ] == caplog.messages
    caplog.clear()
    rows = [{"v": "a"}, {"v": 11}, {"v": 12}]
    import_file(place, lines(path, [{"text": "y", **row} for row in rows]))

    assert [f"column 'v': kept as text, as the store has it: {path}:2 has 11"] == caplog.messages
    caplog.clear()
    import_file(place, lines(path, [{"text": "z", "v": "a", "f": 3, "id": 5}]))
    assert [] == caplog.messages


def test_a_write_that_fails_at_first_leaves_nothing(tmp_path, monkeypatch):
    """Fault V10 and Fault N18: also where the backend refuses it; its first words are reported."""
    place = Place(Numpy(), str(tmp_path / "store"))
    store = type(place.backend.create(str(tmp_path / "other"), store_schema(2)))

    def full(*_, **__):
        raise StorageError("no space left on device")

    monkeypatch.setattr(store, "write_rows", full)
    with pytest.raises(AIOSError, match=r"a.jsonl:1.*no space left on device"):
        import_file(place, lines(tmp_path / "a.jsonl", [{"text": "x"}]), overrides=SET)
    assert not place.folder.exists()


def test_an_import_that_is_stopped_says_what_is_in(place, tmp_path, monkeypatch, caplog):
    """Fault V11: Ctrl-C as well; the rows are there, and the import goes on from them."""
    path = lines(tmp_path / "a.jsonl", [{"id": f"k{i}", "text": "x"} for i in range(700)])
    take, calls = importing._Filling._take, []

    def stopped(filling, batch, maker):
        calls.append(len(batch))
        if len(calls) == 3:
            raise KeyboardInterrupt
        take(filling, batch, maker)

    monkeypatch.setattr(importing._Filling, "_take", stopped)
    with pytest.raises(KeyboardInterrupt):
        import_file(place, path, overrides=SET)
    monkeypatch.undo()
    assert "512 rows of" in caplog.text
    assert 512 == len(held(place))
    done = import_file(place, path, existing="skip")
    assert (512, 188, 700) == (done.skipped, done.added, done.rows)


def test_the_metric_of_a_store_is_not_ignored(place, tmp_path):
    """Fault T8: an option that does not hold."""
    path = lines(tmp_path / "a.jsonl", [{"id": "a", "text": "x"}])
    import_file(place, path, metric="dot", overrides=SET)

    with pytest.raises(StorageError, match="its metric is dot, got cosine"):
        import_file(place, path, metric="cosine", existing="skip")


NANOSECONDS = st.integers(-(2**62), 2**62) | st.builds(
    lambda micros, rest: micros * 1000 + rest, st.integers(-3, 10**15), st.integers(0, 999)
)


@given(times=st.lists(st.none() | NANOSECONDS, min_size=1, max_size=6), zone=st.booleans())
def test_fine_times_of_parquet_are_those_that_were_written(tmp_path_factory, times, zone):
    """Fault V12: to the nanosecond, before 1970 too."""
    path = tmp_path_factory.mktemp("times") / "a.parquet"
    column = pa.array(times, pa.timestamp("ns", tz="UTC" if zone else None))
    pq.write_table(pa.table({"t": column}), path)
    results = [row.values["t"] for row in Parquet().rows(path)]

    read = [None if each is None else each.removesuffix("+00:00") for each in results]
    assert times == [None if each is None else int(np.datetime64(each, "ns").astype("i8"))
                     for each in read]  # fmt: skip
    assert all(each is None or zone == each.endswith("+00:00") for each in results)
