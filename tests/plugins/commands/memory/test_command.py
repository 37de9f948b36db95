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


@pytest.mark.parametrize("kind", BACKENDS)
def test_rows_are_got_listed_counted_and_updated(kind, notes, tmp_path):
    place = ("--store", f"{kind}:{tmp_path / 'store'}")
    output_of("add", notes, *place)

    assert ["evolve", "cat"] == [row["id"] for row in output_of("get", "evolve", "cat", *place)]
    assert [{"year": 2020}] == output_of("get", "cat", "--column", "year", *place)
    late = ("--order", "year", "--descending")
    assert ["evolve", "gate", "cat"] == [row["id"] for row in output_of("list", *late, *place)]
    page = output_of("list", *late, "--limit", 1, "--offset", 1, "--column", "id", *place)
    assert [{"id": "gate"}] == page
    assert {"rows": 2} == output_of("count", "--filter", "year > 2020", *place)
    done = output_of("update", "cat", "gate", "--value", "year=1999", "--clear", "ok", *place)
    assert {"updated": 2, "rows": 3} == done
    assert 2 == output_of("count", "--filter", "year = 1999", *place)["rows"]
    some = ("--filter", "year = 1999", "--value", "ok=false")
    assert 2 == output_of("update", *some, *place)["updated"]
    assert [False] == [row["ok"] for row in output_of("get", "gate", "--column", "ok", *place)]


def test_a_new_text_has_a_new_vector(store):
    output_of("update", "cat", "--value", "text=zebras cross the road", "--store", store)
    (best,) = output_of("search", "zebras cross the road", "-k", 1, "--store", store)

    assert ("cat", pytest.approx(1, abs=1e-5)) == (best["id"], best["score"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["get", "nobody"], "expected ids of rows, got 'nobody'"),
        (["list", "--order", "yaer"], "did you mean 'year'"),
        (["update", "cat"], "expected --value NAME=VALUE or --clear NAME"),
        (["update", "--value", "year=1"], "expected either IDs or --filter"),
        (["update", "cat", "--value", "year=x"], "column 'year': expected a whole number"),
        (["update", "cat", "--value", "ok=yes"], "expected true or false, got 'yes'"),
        (["update", "cat", "--value", "yaer=1"], "did you mean 'year'"),
        (["update", "cat", "--value", "vector=1"], "other than 'id' and 'vector'"),
        (["update", "cat", "--value", "year=1", "--clear", "year"], "is given twice"),
        (["update", "nobody", "--value", "year=1"], "id 'nobody'"),
        (["search", "--like", "nobody"], "'nobody' is not in"),
        (["search", "x", "--like", "cat"], "leave the other ways"),
        (["search", "x", "--weights", "1", "2"], "--weights is of --by hybrid"),
        (["search", "x", "--by", "hybrid", "--weights", "0", "0"], "expected two weights"),
        (["search", "x", "--by", "hybrid", "--min-score", "1"], "leave --min-score"),
    ],
)
def test_what_cannot_be_asked_or_changed_is_an_error(store, words, message):
    result = run(*words, "--store", store)

    assert 2 == result.exit_code
    assert message in result.stderr


def test_searches_by_a_row_a_score_weights_and_several_texts(store):
    place = ("--store", store)
    like = output_of("search", "--like", "gate", *place)
    assert {"cat", "evolve"} == {row["id"] for row in like}
    least = like[0]["score"]
    assert like[:1] == output_of("search", "--like", "gate", "--min-score", least, *place)
    words = ("search", "cat", "--by", "hybrid", "--weights", 0, 1, *place)
    assert ["cat"] == [row["id"] for row in output_of(*words)]
    for by in ("vector", "text", "hybrid"):
        both = output_of("search", "cat mat", "evolution", "-k", 1, "--by", by, *place)
        assert ["cat mat", "evolution"] == [answer["query"] for answer in both]
        assert ["cat", "evolve"] == [answer["rows"][0]["id"] for answer in both]
    assert "evolution:" in run("search", "cat", "evolution", *place).stdout


def test_people_read_lists(store):
    lines = run("list", "--store", store).stdout.splitlines()

    assert ["id", "text"] == lines[0].split()[:2]
    assert ["cat", "evolve", "gate"] == [line.split()[0] for line in lines[1:]]
    assert "rows: 3" in run("count", "--store", store).stdout
