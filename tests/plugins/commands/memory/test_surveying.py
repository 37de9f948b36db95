"""What a file holds: its rows, their ids, and the schema of a store for them."""

import codecs
import hashlib
import json
import math
from datetime import date, datetime, time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aios_core.contracts import TextSettings, store_schema
from aios_core.errors import DataError
from aios_core.formats import reader_of
from aios_plugins.commands.memory.reading import RowFile
from aios_plugins.commands.memory.surveying import METRIC, batches, survey
from aios_plugins.readers import _text
from aios_plugins.readers.parquet import Parquet


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def file_of(path, *rows):
    return RowFile.of(lines(path, *rows))


def test_columns_have_the_type_of_all_their_values(tmp_path):
    """Whole and other numbers are float64, all other mixtures texts; nothing says nothing."""
    path = lines(
        tmp_path / "a.jsonl",
        {"id": 1, "text": "x", "n": 1, "f": 1, "s": 1, "b": True, "m": None, "c": True, "l": [1]},
        {"id": 2, "text": "x", "n": None, "f": 0.5, "s": "a", "b": False, "m": None, "c": 1},
    )
    result = survey(RowFile.of(path))
    types = {"n": "int64", "f": "float64", "s": "string", "b": "bool"}

    assert types | {"m": "string", "c": "string", "l": "string"} == result.metadata
    assert (2, None, "int64") == (result.rows, result.dim, result.id_type)
    assert ["id", "text", *"nfsbmcl", "vector"] == result.schema(7).names
    assert 7 == result.schema(7).field("vector").type.list_size
    assert "string" == survey(file_of(path, {"id": 1, "text": "x"}, {"id": "1", "text": "x"}),
                              unique=False).id_type  # fmt: skip


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"vector": [1, 2, 3]}, "3: has a vector of 3 numbers, and .*:1 has a vector of 2 numbers"),
        ({"text": "x"}, "3: has no vector, and .*:1 has a vector of 2 numbers"),
    ],
)
def test_vectors_of_a_file_are_alike(tmp_path, second, message):
    rows = ({"id": 1, "vector": [1, 2]}, {"id": 2, "vector": [2, 3]}, {"id": 3, **second})

    with pytest.raises(DataError, match=message):
        survey(file_of(tmp_path / "a.jsonl", *rows))


def test_rows_without_an_id_are_named_by_their_content(tmp_path):
    """Whatever the order of keys; of equal ones the first counts, and others are others."""
    path = lines(
        tmp_path / "a.jsonl",
        {"text": "x", "n": 1},
        {"n": 1, "text": "x"},
        {"text": "x", "n": 2},
        {"vector": [1.0, 2.0]},
        {"vector": [1.0, 2.5]},
    )
    results = list(RowFile.of(path).rows())
    pq.write_table(pa.table({"vector": [[1.0, 2.0]]}), tmp_path / "a.parquet")
    (same,) = RowFile.of(tmp_path / "a.parquet").rows()

    assert [1, 3, 4, 5] == [row.number for row in results]
    assert 4 == len({row.values["id"] for row in results})
    assert {32} == {len(row.values["id"]) for row in results}
    assert same.values["id"] == results[2].values["id"]


def test_paragraphs_know_their_first_line(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("\n one\ntwo \n\n\nthree\n  \nfour")

    assert [
        (2, "one\ntwo", 2, "notes.txt"),
        (6, "three", 6, "notes.txt"),
        (8, "four", 8, "notes.txt"),
    ] == [
        (row.number, row.values["text"], row.values["line"], row.values["source"])
        for row in RowFile.of(path).rows()
    ]


@pytest.mark.parametrize("suffix", ["jsonl", "txt", "parquet"])
def test_progress_is_told_in_thousandths_and_once(tmp_path, suffix):
    path, reports = tmp_path / f"a.{suffix}", []
    if suffix == "parquet":
        pq.write_table(pa.table({"text": ["x"] * 5000}), path)
    else:
        path.write_text("".join(f'{{"text": "{n}"}}\n' for n in range(5000)))
    assert 0 < len(list(reader_of(path).rows(path, reports.append))) <= 5000

    assert 1000 == sum(reports)
    assert len(reports) > 4
    assert min(reports) > 0


def test_rows_of_a_list_keep_their_places(tmp_path):
    """Also beside one that is missing, and in a slice."""
    vectors = pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": ["a", "b", "c"], "vector": vectors}), tmp_path / "a.parquet")
    results = [row.values["vector"] for row in Parquet().rows(tmp_path / "a.parquet")]

    assert results[1] is None
    assert [[1, 2], [3, 4]] == np.stack([results[0], results[2]]).tolist()


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("bad", [math.inf, -math.inf])
@pytest.mark.parametrize("nan", ["refuse", "missing"])
@pytest.mark.parametrize("wrap", [float, lambda x: [0.5, x], lambda x: {"a": [x], "b": 1}])
def test_an_infinite_number_is_never_missing(tmp_path, suffix, bad, nan, wrap):
    """NaN alone may mean that a value is missing; an infinite number is refused either way."""
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table({"text": ["x", "y"], "n": [wrap(1.5), wrap(bad)]}), path)
    else:
        lines(path, {"text": "x", "n": wrap(1.5)}, {"text": "y", "n": wrap(bad)})

    with pytest.raises(DataError, match=rf"2: .*expected a finite number under 'n'.* got {bad}$"):
        list(RowFile.of(path).rows(nan=nan))


def test_values_are_plain(tmp_path):
    """Numbers and truth as they are, times in ISO 8601, and what JSON has beside as its text."""
    given = {"i": -3, "f": 0.5, "b": True, "s": "ü", "l": [1, "ü"], "o": {"a": None}, "z": None}
    nothing = {"n": math.nan, "m": [math.nan, {"a": math.nan}]}
    path = lines(tmp_path / "a.jsonl", {"id": "a", "text": "x", **given, **nothing})
    (row,) = RowFile.of(path).rows(nan="missing")
    expected = {**given, "l": '[1, "ü"]', "o": '{"a": null}', "n": None}
    expected["m"] = '[null, {"a": null}]'
    times = {"d": [date(2024, 2, 29)], "t": [time(1, 2, 3)], "u": [datetime(2024, 2, 29, 1)]}  # noqa: DTZ001
    pq.write_table(pa.table({"text": ["x"], **times}), tmp_path / "a.parquet")
    (timed,) = RowFile.of(tmp_path / "a.parquet").rows()

    assert {"id": "a", "text": "x", **expected} == row.values
    assert [*map(type, expected.values())] == [type(row.values[key]) for key in expected]
    assert ["2024-02-29", "01:02:03", "2024-02-29T01:00:00"] == [timed.values[n] for n in "dtu"]


@pytest.mark.parametrize(
    ("row", "content"),
    [
        ({"text": "x"}, '{"text": "x"}'),
        ({"text": "ü", "n": 1, "a": None}, '{"a": null, "n": 1, "text": "ü"}'),
        ({"vector": [1.0, 2.5]}, '{"vector": [1.0, 2.5]}'),
    ],
)
def test_an_id_is_the_hash_of_the_content_in_every_version(tmp_path, row, content):
    """Else the same file would come in twice after an update."""
    (result,) = RowFile.of(lines(tmp_path / "a.jsonl", row)).rows()

    assert hashlib.sha256(content.encode()).hexdigest()[:32] == result.values["id"]


def test_numbers_too_wide_for_a_column_of_numbers_may_be_texts(tmp_path):
    """Where another row has a text there, all of them are texts."""
    path = lines(tmp_path / "a.jsonl", {"text": "x", "n": 2**70}, {"text": "y", "n": "a text"})
    assert {"n": "string"} == survey(RowFile.of(path)).metadata
    for wide, fits in ((2**63, False), (-(2**63) - 1, False), (2**63 - 1, True), (-(2**63), True)):
        lines(path, {"text": "x", "n": 1}, {"text": "y", "n": wide})
        if fits:
            assert {"n": "int64"} == survey(RowFile.of(path)).metadata
            continue
        with pytest.raises(DataError, match=r"a\.jsonl:2: expected a whole number of at most 64"):
            survey(RowFile.of(path))


def test_ids_have_64_bits_and_are_no_truth_values(tmp_path):
    path = tmp_path / "a.jsonl"
    for each in (2**63 - 1, -(2**63)):
        (row,) = RowFile.of(lines(path, {"id": each, "text": "x"})).rows()
        assert each == row.values["id"]
    for each in (2**63, -(2**63) - 1, True, 1.5, 2.0**60, ["a"]):
        with pytest.raises(DataError, match=r"a\.jsonl:1: expected a .* under 'id', got"):
            list(RowFile.of(lines(path, {"id": each, "text": "x"})).rows())


@pytest.mark.parametrize("value", ["\\ud800", "a \\udfff"])
def test_half_of_a_surrogate_pair_is_no_text(tmp_path, value):
    path = tmp_path / "a.jsonl"
    for key in ("text", "id", "s"):
        row = {"text": "x", key: "?"}
        path.write_text(json.dumps(row).replace("?", value) + "\n")
        with pytest.raises(DataError, match=r"a\.jsonl:1: cannot be kept: .*surrogates"):
            list(RowFile.of(path).rows())


@pytest.mark.parametrize("vector", [["1", 2], [True, 2], [None, 2], [[1], [2]], 7, "ab", {"a": 1}])
def test_a_vector_is_a_list_of_numbers(tmp_path, vector):
    with pytest.raises(DataError, match=r"a\.jsonl:1: expected numbers under 'vector'"):
        list(RowFile.of(lines(tmp_path / "a.jsonl", {"vector": vector})).rows())


def test_a_parquet_column_comes_once(tmp_path):
    table = pa.table([pa.array(["x"]), pa.array(["y"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")

    with pytest.raises(DataError, match=r"a\.parquet: expected each column once, got 'text'"):
        list(RowFile.of(tmp_path / "a.parquet").rows())


@pytest.mark.parametrize("make", [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 2)])
def test_vectors_of_parquet_are_arrays(tmp_path, make):
    """Of whichever kind of list: each vector has its own numbers."""
    column = pa.array([[1, 2], [3, 4], [5, 6]], make(pa.float32()))
    pq.write_table(pa.table({"vector": column}), tmp_path / "a.parquet")
    results = [row.values["vector"] for row in RowFile.of(tmp_path / "a.parquet").rows()]

    assert {np.ndarray} == {*map(type, results)}
    assert [[1, 2], [3, 4], [5, 6]] == np.stack(results).tolist()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("changed", [False, True])
def test_an_exported_file_keeps_its_metric(tmp_path, metric, changed):
    """Also one that got a column since which no store has."""
    path = tmp_path / "rows.parquet"
    schema = store_schema(2).with_metadata({METRIC: metric})
    table = pa.table({"id": ["a"], "vector": [[3.0, 4.0]], "text": ["one"]}, schema=schema)
    if changed:
        table = table.append_column("n", pa.array([1], pa.int32()))
    pq.write_table(table, path)

    result = survey(RowFile.of(path))
    assert (metric, 2) == (result.metric, result.dim)
    assert changed == (result.exported is None)


def test_batches_are_full_but_the_last():
    assert [[1, 2], [3, 4], [5]] == list(batches(iter([1, 2, 3, 4, 5]), 2))
    assert [[1, 2]] == list(batches(iter([1, 2]), 2))


@pytest.mark.parametrize(
    "row", ['{"text": "x", "n": 1, "n": 2}', '{"text": "x", "o": {"n": 1, "n": 1}}']
)
def test_a_key_of_an_object_comes_once(tmp_path, row):
    """Else one of its values would be lost."""
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "x"}}\n{row}\n')

    with pytest.raises(DataError, match=r"a\.jsonl:2: expected each key once .* got 'n' twice"):
        list(RowFile.of(path).rows())
    with pytest.raises(DataError, match=r"a\.jsonl:2: expected each key once .* got 'n' twice"):
        list(reader_of(path).texts(path, TextSettings()))


@pytest.mark.parametrize("suffix", ["jsonl", "txt"])
def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    text = '{"text": "one"}\n' if suffix == "jsonl" else "one\n\n\ufefftwo\n"
    path.write_bytes(codecs.BOM_UTF8 + text.encode())

    expected = ["one", "\ufefftwo"][: 1 if suffix == "jsonl" else 2]
    assert expected == [row.values["text"] for row in RowFile.of(path).rows()]


def test_a_line_has_a_bound(tmp_path, monkeypatch):
    """The newline belongs to it."""
    monkeypatch.setattr(_text, "MAX_LINE", 20)
    path = tmp_path / "a.txt"
    path.write_text("x" * 19 + "\n")

    assert 1 == len(list(RowFile.of(path).rows()))
    path.write_text("one\n" + "x" * 20 + "\n")
    with pytest.raises(DataError, match=r"a\.txt:2: is longer than 20 bytes"):
        list(RowFile.of(path).rows())
