"""``aios memory``, as a user meets it."""

import json
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from aios_core.cli import cli

ROWS = [
    {"id": "gate", "text": "the gate decides by held-out loss", "year": 2024, "tags": ["x"]},
    {"id": "cat", "text": "a cat sat on the mat", "year": 2020},
    {"id": "evolve", "text": "evolution keeps what improves", "year": 2025, "ok": True},
]
BACKENDS = ["arrow", "numpy", "faiss", "usearch", "lancedb", "qdrant"]


def run(*arguments):
    return CliRunner().invoke(cli, ["memory", *map(str, arguments)])


def output_of(*arguments):
    result = run(*arguments, "--json")
    assert 0 == result.exit_code, result.output
    return json.loads(result.stdout)


@pytest.fixture
def notes(tmp_path):
    file = tmp_path / "notes.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


@pytest.fixture
def store(notes, tmp_path):
    place = tmp_path / "store"
    done = output_of("add", notes, "--store", place)
    assert {"added": 3, "replaced": 0, "skipped": 0, "rows": 3} == done
    return place


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_store_of_any_backend_is_filled_searched_and_emptied(kind, notes, tmp_path):
    place = ("--store", f"{kind}:{tmp_path / 'store'}")
    assert 3 == output_of("add", notes, *place)["added"]
    result = output_of("search", "what does the gate decide?", "-k", 2, *place)
    assert ["gate", 2] == [result[0]["id"], len(result)]
    assert {"text": ROWS[0]["text"], "year": 2024, "tags": '["x"]'}.items() <= result[0].items()
    assert ["evolve"] == [r["id"] for r in output_of("search", "x", "--filter", "ok", *place)]
    assert 3 == output_of("verify", *place)["rows"]
    assert {"deleted": 1, "rows": 2} == output_of("delete", "cat", "nobody", *place)
    assert 1 == output_of("delete", "--filter", "year = 2024", *place)["deleted"]
    output_of("compact", *place)
    facts = output_of("stats", *place)
    assert (1, 384, "cosine") == (facts["rows"], facts["dim"], facts["metric"])
    assert "int64" == facts["columns"]["year"]


def test_searches_by_words_and_by_both(store):
    assert ["cat"] == [
        row["id"] for row in output_of("search", "CAT", "--by", "text", "--store", store)
    ]
    assert "cat" == output_of("search", "mat", "--by", "hybrid", "--store", store)[0]["id"]


def test_people_read_tables(store):
    lines = run("search", "gate", "--store", store).stdout.splitlines()

    assert ["score", "id", "text"] == lines[0].split()
    assert 4 == len(lines)
    assert "rows: 3" in run("stats", "--store", store).stdout


def test_rows_that_are_there_are_refused_skipped_or_replaced(store, notes):
    result = run("add", notes, "--store", store)
    assert 2 == result.exit_code
    assert "gate" in result.stderr
    assert {"added": 0, "replaced": 0, "skipped": 3, "rows": 3} == output_of(
        "add", notes, "--store", store, "--existing", "skip"
    )
    assert 3 == output_of("add", notes, "--store", store, "--existing", "replace")["replaced"]


def test_the_store_knows_its_embedding(notes, tmp_path):
    place = ("--store", tmp_path / "store")
    output_of("add", notes, *place, "--set", "embedding.dim=64")
    assert 64 == output_of("stats", *place)["dim"]
    assert "gate" == output_of("search", "gate decides", *place)[0]["id"]
    result = run("search", "gate", *place, "--set", "embedding.dim=32")
    assert 2 == result.exit_code
    assert "made by another embedding (type = 'hashing', dim = 64)" in result.stderr


def test_a_configuration_file_counts(notes, tmp_path):
    config = tmp_path / "memory.toml"
    config.write_text("[storage]\ntype = 'numpy'\n[embedding]\ndim = 16\n")
    place = ("--config", config, "--store", tmp_path / "store")
    output_of("add", notes, *place)
    assert "gate" == output_of("search", "gate", *place)[0]["id"]
    result = run("stats", "--store", tmp_path / "store")
    assert 2 == result.exit_code
    assert "is not a store" in result.stderr


def test_texts_are_rows_by_paragraph_and_the_same_text_is_the_same_row(tmp_path):
    file = tmp_path / "book.txt"
    file.write_text("One.\nStill one.\n\n\nTwo.\n\nOne.\nStill one.\n")
    place = ("--store", tmp_path / "store")
    assert 3 == output_of("add", file, *place)["added"]
    result = output_of("search", "two", "-k", 1, *place)
    assert ("Two.", "book.txt", 5) == tuple(result[0][name] for name in ("text", "source", "line"))
    assert 3 == output_of("add", file, *place, "--existing", "skip")["skipped"]


def test_vectors_of_ones_own_are_kept(tmp_path):
    file = tmp_path / "own.parquet"
    vectors = pa.array([[1.0, 0.0], [0.0, 2.0]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": [7, -8], "vector": vectors, "n": [1, 2]}), file)
    place = ("--store", tmp_path / "store")
    output_of("add", file, *place, "--metric", "dot")
    output_of("export", tmp_path / "out.jsonl", *place)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [{"id": 7, "n": 1, "vector": [1, 0]}, {"id": -8, "n": 2, "vector": [0, 2]}] == rows
    assert 1 == output_of("delete", "7", *place)["deleted"]
    assert 2 == run("delete", "x", *place).exit_code


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_exports_are_imported_again(store, tmp_path, suffix):
    file, again = tmp_path / f"out.{suffix}", tmp_path / "again"
    assert 3 == output_of("export", file, "--store", store)["rows"]
    assert 3 == output_of("add", file, "--store", again)["added"]
    for place in (store, again):
        assert [] == output_of("search", "nowhere", "--by", "text", "--store", place)
        result = output_of("search", "x", "--filter", "year = 2024", "--store", place)
        assert ["gate"] == [row["id"] for row in result]
    some = output_of("export", file, "--store", store, "--filter", "ok", "--overwrite")
    assert 1 == some["rows"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "bad.jsonl: expected rows, got none"),
        ('{"text": "a"}\n{', "bad.jsonl:2: is not JSON"),
        ("[1]", "bad.jsonl:1: expected an object with text, got list"),
        ('{"id": "a"}', "bad.jsonl:1: expected a text under 'text', or a 'vector'; got 'id'"),
        ('{"text": 3}', "bad.jsonl:1: expected a text under 'text', got 3"),
        (
            '{"text": "a", "id": 1.5}',
            "bad.jsonl:1: expected a text or a whole number under 'id', got 1.5",
        ),
        (
            '{"text": "a", "vector": ["x"]}',
            "bad.jsonl:1: expected numbers under 'vector', got [\"x\"]",
        ),
        ('{"text": "a", "vector": [NaN]}', "bad.jsonl:1: id "),
        ('{"text": "a", "vector": [1]}\n{"text": "b"}', "bad.jsonl:2: has no vector, and "),
        ('{"text": "a", "_x": 1}', "without _ in front"),
        ('{"text": "\\ud800"}', "bad.jsonl:1: cannot be kept"),
        (
            '{"text": "a", "id": "x"}\n{"text": "b", "id": "x"}',
            "bad.jsonl:2: id 'x' comes twice, first in ",
        ),
    ],
)
def test_bad_files_are_told_with_their_line(tmp_path, content, message):
    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    result = run("add", file, "--store", tmp_path / "store")

    assert 2 == result.exit_code, result.output
    assert message in result.stderr


def test_bad_calls_are_one_message(store, tmp_path):
    for arguments, message in [
        (("search", "x", "--store", tmp_path / "nothing"), "is not a store"),
        (("search", "x", "--store", "lanceb:x"), "did you mean 'lancedb'?"),
        (("search", "x", "--store", store, "--filter", "yaer = 1"), "did you mean 'year'"),
        (("search", "x", "--store", store, "--set", "storage.width=0"), "storage.width"),
        (("search", "x", "--store", store, "--set", "storge.width=1"), "storge"),
        (("add", tmp_path / "none.jsonl", "--store", store), "none.jsonl: no such file"),
        (("add", tmp_path, "--store", store), f"{tmp_path}: is a folder; expected a file"),
        (("search", "--store", store, "--vector", tmp_path), f"{tmp_path}: is a folder; expected"),
        (("delete", "--store", store), "either IDs or --filter"),
        (("export", tmp_path / "x.csv", "--store", store), ".parquet or .jsonl"),
        (("migrate", store, store), "are the same store"),
    ]:
        result = run(*arguments)
        assert 2 == result.exit_code, result.output
        assert message in result.stderr


def test_stores_move_between_backends(store, tmp_path):
    places = [str(store), *(f"{kind}:{tmp_path / kind}" for kind in BACKENDS[1:])]
    places.append(f"arrow:{tmp_path / 'back'}")
    for source, target in pairwise(places):
        assert {"rows": 3, "copied": 3, "verified": True} == output_of("migrate", source, target)
        assert {"rows": 3, "copied": 0, "verified": True} == output_of("migrate", source, target)
    assert "gate" == output_of("search", "gate decides", "--store", places[-1])[0]["id"]


def test_a_snapshot_is_a_store_of_its_own_and_comes_back(store, tmp_path):
    copy = tmp_path / "monday"
    assert {"rows": 3, "snapshot": str(copy)} == output_of("snapshot", copy, "--store", store)
    assert 3 == output_of("verify", "--store", copy)["rows"]
    output_of("delete", "cat", "--store", store)
    assert {"rows_before": 2, "rows": 3} == output_of("restore", copy, "--store", store)
    assert ["cat"] == [
        row["id"] for row in output_of("search", "CAT", "--by", "text", "--store", store)
    ]


def test_snapshots_refuse_what_is_there_and_what_is_none(store, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("mine")
    taken = run("snapshot", tmp_path / "mine", "--store", store)
    absent = run("restore", tmp_path / "nowhere", "--store", store)

    assert [2, 2] == [taken.exit_code, absent.exit_code]
    assert str(tmp_path / "mine") in taken.stderr
    assert "nowhere" in absent.stderr
    assert 3 == output_of("stats", "--store", store)["rows"]
