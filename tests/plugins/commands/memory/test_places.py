"""``aios memory``: which store is meant, who made its vectors, and what is never overwritten."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from aios_core.cli import cli
from aios_core.contracts import VectorStore
from aios_core.files import replace_text

ROWS = [
    {"id": "gate", "text": "the gate decides", "year": 2024},
    {"id": "cat", "text": "a cat sat on the mat", "year": 2020},
    {"id": "old", "text": "an old cat", "year": 1999},
]


def run(*arguments):
    return CliRunner().invoke(cli, [*map(str, arguments)])


def output_of(*arguments):
    result = run("memory", *arguments, "--json")
    assert 0 == result.exit_code, result.output
    return json.loads(result.stdout)


def refused(*arguments):
    """What a command says that ends with exit code 2."""
    result = run(*arguments)
    assert 2 == result.exit_code, result.output
    return result.stderr


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with files of texts and of own vectors, and a store of each."""
    monkeypatch.chdir(tmp_path)
    vectors = np.eye(3, 384).tolist()
    own = [row | {"vector": vector} for row, vector in zip(ROWS, vectors, strict=True)]
    for name, rows in (("texts", ROWS), ("own", own)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text)
        output_of("add", f"{name}.jsonl", "--store", f"numpy:{name}")
    return tmp_path


PLACE = "sqlite:oops"
UNKNOWN = "no storage backend is called 'sqlite'"


@pytest.mark.parametrize(
    "arguments",
    [
        ("memory", "add", "texts.jsonl", "--store", PLACE),
        ("memory", "search", "x", "--store", PLACE),
        ("memory", "stats", "--store", PLACE),
        ("memory", "verify", "--store", PLACE),
        ("memory", "compact", "--store", PLACE),
        ("memory", "delete", "x", "--store", PLACE),
        ("memory", "export", "x.jsonl", "--store", PLACE),
        ("memory", "migrate", "numpy:texts", PLACE),
        ("memory", "migrate", PLACE, "numpy:other"),
        ("memory", "snapshot", PLACE, "--store", "numpy:texts"),
        ("memory", "restore", PLACE, "--store", "numpy:texts"),
    ],
)
def test_a_type_that_is_not_installed_is_refused_by_every_command(folder, arguments):
    """Fault N6: and no folder of that name appears."""
    assert UNKNOWN in refused(*arguments)
    assert not (folder / PLACE).exists()


def test_a_snapshot_is_of_the_same_backend(folder):
    """Fault N6: a place of another backend is not a folder of this one."""
    message = refused("memory", "snapshot", "arrow:copy", "--store", "numpy:texts")

    assert "arrow:copy is of another backend than numpy:texts" in message
    assert 3 == output_of("snapshot", "numpy:copy", "--store", "numpy:texts")["rows"]
    assert 3 == output_of("restore", "numpy:copy", "--store", "numpy:texts")["rows"]


@pytest.mark.parametrize("flag", [(), ("--json",)])
def test_passwords_are_not_shown(folder, flag):
    """Fault N6: neither in errors nor in what is asked for."""
    uri = "postgresql://u:s3cr3t@localhost:1/db?table=t"
    for arguments in (
        ("memory", "migrate", "numpy:texts", f"pgvektor:{uri}", *flag),
        ("memory", "migrate", "numpy:texts", f"pgvector:{uri}", *flag),
        ("memory", "stats", "--store", f"pgvector:{uri}", *flag),
        ("memory", "stats", "--store", uri, *flag),
        ("memory", "search", "x", "--store", f"numpy:{uri}", *flag),
    ):
        result = run(*arguments)

        assert 2 == result.exit_code
        assert "s3cr3t" not in result.output
        assert "u:***@" in result.output


def test_own_vectors_are_searched_only_by_what_is_known(folder):
    """Fault V5: the ways out are named, and each of them is one."""
    place = ("--store", "numpy:own")
    assert "not recorded" == output_of("stats", *place)["embedding"]
    recorded = output_of("stats", "--store", "numpy:texts")["embedding"]
    assert "type = 'hashing', dim = 384" == recorded
    message = refused("memory", "search", "cat", *place)
    assert all(text in message for text in ("--by text", "--vector FILE", "--set embedding.type"))
    (folder / "q.json").write_text(json.dumps(np.eye(3, 384)[1].tolist()))
    np.save(folder / "q.npy", np.eye(3, 384)[1])

    by_text = output_of("search", "cat", "--by", "text", *place)
    assert {"cat", "old"} == {row["id"] for row in by_text}
    for file in ("q.json", "q.npy"):
        assert "cat" == output_of("search", "--vector", file, *place)[0]["id"]
    both = output_of("search", "gate", "--by", "hybrid", "--vector", "q.json", *place)
    assert {"cat", "gate"} == {row["id"] for row in both[:2]}
    assert 3 == len(output_of("search", "cat", "--set", "embedding.type=hashing", *place))
    assert UNKNOWN not in refused("memory", "search", "cat", "--by", "hybrid", *place)


def test_exports_carry_the_embedding(folder):
    """Fault V19: a store of another width is searched without a word of it."""
    output_of("add", "texts.jsonl", "--store", "wide", "--set", "embedding.dim=128")
    for name in ("w.parquet", "w.jsonl"):
        output_of("export", name, "--store", "wide")
        output_of("add", name, "--store", f"numpy:{name}.store")
        assert (
            "gate"
            == output_of("search", "gate", "-k", 1, "--store", f"numpy:{name}.store")[0]["id"]
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1, 2", "expected a list of numbers in JSON, or .npy"),
        (b'{"a": 1}', "expected a list of numbers, got"),
        (b"[true]", "expected a list of numbers, got"),
        (b"\xff", "expected a list of numbers in JSON"),
        (b"[1, 2, 3]", "384"),
    ],
)
def test_a_file_that_is_no_vector_is_refused(folder, content, message):
    (folder / "q.json").write_bytes(content)

    assert message in refused("memory", "search", "--vector", "q.json", "--store", "numpy:own")
    np.save(folder / "q.npy", np.array([{"a": 1}]), allow_pickle=True)
    pickled = refused("memory", "search", "--vector", "q.npy", "--store", "numpy:own")
    assert "expected a list of numbers in JSON, or .npy" in pickled


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected a QUERY, got none"),
        ((" ",), "expected a QUERY, got an empty one"),
        (("",), "expected a QUERY, got an empty one"),
        (("x", "--vector", "q.json"), "expected either QUERY or --vector"),
        (("x", "--by", "text", "--exact"), "--by text searches words alone; leave --vector"),
        (("x", "--by", "text", "--approximate"), "--by text searches words alone"),
        (("x", "--by", "text", "--vector", "q.json"), "--by text searches words alone"),
        (("--by", "text"), "expected a QUERY"),
        (("x", "-k", "99999999999999999999"), "-k"),
        (("x", "-k", "0"), "-k"),
    ],
)
def test_options_that_do_not_hold_are_usage_errors(folder, arguments, message):
    """Fault V12: a k that no library counts to; and options that would be ignored."""
    assert message in refused("memory", "search", "--store", "numpy:texts", *arguments)


@pytest.mark.parametrize("query", ["!!!", "🙂", "..."])
def test_a_query_without_words_says_so(folder, query):
    result = run("memory", "search", query, "--store", "numpy:texts")

    assert 0 == result.exit_code
    assert "has no letter and no digit" in result.stderr


def test_what_is_asked_for_reaches_the_store(folder, monkeypatch):
    """Filters of a search by words, and whether it looks at every row."""
    result = output_of(
        "search", "cat", "--by", "text", "--filter", "year < 2000", "--store", "numpy:texts"
    )
    assert ["old"] == [row["id"] for row in result]
    asked = []
    search = VectorStore.search

    def recorded(store, vector, k, **options):
        asked.append((k, options.get("exact"), options.get("filter")))
        return search(store, vector, k, **options)

    monkeypatch.setattr(VectorStore, "search", recorded)
    for flags in ((), ("--exact",), ("--exact", "--by", "hybrid", "--filter", "year > 1")):
        output_of("search", "cat", "-k", "2", *flags, "--store", "numpy:texts")
    assert (2, None, None) == asked[0]
    assert (2, True, None) == asked[1]
    assert (True, "year > 1") == asked[2][1:]


def test_an_export_replaces_no_file_unless_it_is_told_to(folder):
    (folder / "mine.jsonl").write_text("mine")
    message = refused("memory", "export", "mine.jsonl", "--store", "numpy:texts")

    assert "mine.jsonl is there already; expected a new file, or --overwrite" in message
    assert "mine" == (folder / "mine.jsonl").read_text()
    output_of("export", "mine.jsonl", "--store", "numpy:texts", "--overwrite")
    assert 3 == len((folder / "mine.jsonl").read_text().splitlines())


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_an_export_without_vectors_is_embedded_anew(folder, suffix):
    """Everything else of section 1: a line of JSON held 384 numbers, whoever wanted the text."""
    file = f"some.{suffix}"
    output_of("export", file, "--column", "text", "--column", "id", "--store", "numpy:texts")
    if suffix == "jsonl":
        lines = (folder / file).read_text().splitlines()
        assert {"id", "text"} == set().union(*map(json.loads, lines))

    assert 3 == output_of("add", file, "--store", "again")["added"]
    assert "gate" == output_of("search", "gate", "--store", "again")[0]["id"]
    message = refused("memory", "export", "x.jsonl", "--column", "txt", "--store", "again")
    assert "'txt'" in message
    assert not (folder / "x.jsonl").exists()


def test_an_empty_store_survives_a_file(folder):
    output_of("delete", "gate", "cat", "old", "--store", "numpy:texts")
    output_of("export", "none.parquet", "--store", "numpy:texts")

    assert {"added": 0, "replaced": 0, "skipped": 0, "rows": 0} == output_of(
        "add", "none.parquet", "--store", "again"
    )
    output_of("add", "texts.jsonl", "--store", "again")
    assert "gate" == output_of("search", "gate", "--store", "again")[0]["id"]


def test_a_store_does_not_move_into_itself(folder):
    """Whatever it is called by."""
    (folder / "link").symlink_to(folder / "texts")
    for target in ("texts/", "./texts", "link", f"{folder}/texts", "link/"):
        message = refused("memory", "migrate", "numpy:texts", f"numpy:{target}")
        assert "are the same store; expected another place" in message
    for target in ("texts/sub", "link/sub"):
        assert "is in the other" in refused("memory", "migrate", "numpy:texts", f"arrow:{target}")
        message = refused("memory", "snapshot", target, "--store", "numpy:texts")
        assert "expected a place outside of it" in message
        message = refused("memory", "add", "texts.jsonl", "--store", f"numpy:{target}")
        assert "is in the store" in message
    assert ["LOCK", "STORE.json"] == sorted(
        path.name for path in (folder / "texts").iterdir() if "rows" not in path.name
    )


KILLED = """
import os, signal
from aios_core.memory import Place, open_store
from aios_plugins.commands.memory.migrating import migrate, target_of

source, target = Place.of("numpy:many"), Place.of("arrow:half")
with open_store(source, read=True) as old, target_of(old, source, target) as new:
    migrate(old, new, batch_size=100, advance=lambda _: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_store_that_is_filled_in_part_is_no_empty_one(folder):
    """Fault N7: until the migration is run again to its end."""
    rows = [{"id": f"r{i}", "text": f"row {i}"} for i in range(2500)]
    (folder / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    output_of("add", "many.jsonl", "--store", "numpy:many")
    killed = subprocess.run([sys.executable, "-c", KILLED], check=False, timeout=300)
    assert -signal.SIGKILL == killed.returncode

    for arguments in (
        ("memory", "stats", "--store", "half"),
        ("memory", "verify", "--store", "half"),
        ("memory", "search", "row", "--store", "half"),
        ("memory", "add", "texts.jsonl", "--store", "half"),
        ("memory", "migrate", "half", "numpy:other"),
    ):
        assert "half is filled in part" in refused(*arguments)
    assert 2500 == output_of("migrate", "numpy:many", "half")["rows"]
    assert 2500 == output_of("verify", "--store", "half")["rows"]
    assert not (folder / "half.unfinished").exists()


FULL = """
import resource, sys
from aios_core.cli import main

resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
sys.argv = ["aios", "memory", "add", "many.jsonl", "--store", "full"]
main()
"""


def test_a_full_disk_says_what_was_added_before(folder):
    """Fault N18: the first error is reported, with how many rows are in; they are."""
    rows = [{"id": f"r{i}", "text": f"row {i}"} for i in range(2000)]
    (folder / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = subprocess.run(
        [sys.executable, "-c", FULL], check=False, timeout=300, capture_output=True, text=True
    )

    assert 2 == done.returncode, done.stderr
    assert "File too large" in done.stderr
    assert "an earlier write" not in done.stderr
    (count,) = re.findall(r"(\d+) rows of many.jsonl were added before", done.stderr)
    assert output_of("verify", "--store", "full")["rows"] == int(count) > 0
    assert 2000 == output_of("add", "many.jsonl", "--store", "full", "--existing", "skip")["rows"]


def test_a_store_of_another_backend_is_named(folder):
    """A folder that is not a store of this backend, but of another."""
    message = refused("memory", "stats", "--store", "texts")

    assert "texts is not a store" in message
    assert "numpy:texts" in message


def test_a_migration_that_could_not_begin_leaves_nothing(folder):
    """Fault N7: and does not spoil a store that is there."""
    (folder / "taken").mkdir()
    (folder / "taken" / "mine.txt").write_text("mine")
    assert "not empty" in refused("memory", "migrate", "numpy:texts", "arrow:taken")
    assert "expected a place where nothing is" in refused(
        "memory", "migrate", "numpy:texts", "numpy:own"
    )
    assert 3 == output_of("verify", "--store", "numpy:own")["rows"]
    assert [] == list(folder.glob("*.unfinished"))
    replace_text(folder / "new.unfinished", "left behind by somebody")
    output_of("add", "texts.jsonl", "--store", "numpy:new")
