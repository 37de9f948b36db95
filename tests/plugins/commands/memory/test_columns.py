"""Files as others write them: columns by other names, values of other types, standard input."""

import decimal
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from aios_core.cli import cli
from aios_core.errors import DataError
from aios_plugins.commands.memory.columns import Columns


def run(*arguments, stdin=None):
    return CliRunner().invoke(cli, ["memory", *map(str, arguments)], input=stdin)


def output_of(*arguments, stdin=None):
    result = run(*arguments, "--json", stdin=stdin)
    assert 0 == result.exit_code, result.output
    return json.loads(result.stdout)


@pytest.fixture
def place(tmp_path):
    return ("--store", tmp_path / "store")


def test_csv_with_a_bom_and_names_of_its_own(tmp_path, place):
    """Fault V14: what Excel writes, with types that a table of texts has not."""
    file = tmp_path / "notes.csv"
    file.write_bytes(
        "\ufeffKey;,body,year,price,ok,note\r\n"
        'a,"first, with a comma",2024,1.10,true,x\r\nb,second,,-2,FALSE,\r\n'.encode()
    )
    names = ("--id", "Key;", "--text", "body", "--drop", "note")
    types = ("--type", "year=int64", "--type", "cost=float64", "--type", "ok=bool")

    done = output_of("add", file, *place, *names, *types, "--rename", "price=cost")

    assert 2 == done["added"]
    first, second = output_of("list", *place)
    assert first == {
        "id": "a",
        "text": "first, with a comma",
        "year": 2024,
        "cost": 1.1,
        "ok": True,
    }
    assert second == {"id": "b", "text": "second", "year": None, "cost": -2.0, "ok": False}
    assert {"rows": 1} == output_of("count", "--filter", "year > 2000", *place)


def test_parquet_of_pandas(tmp_path, place):
    """Its index, ids with a fraction of 0, decimals, and vectors by another name."""
    file = tmp_path / "frame.parquet"
    table = pa.table(
        {
            "_id": pa.array([1.0, 2.0]),
            "content": ["one", "two"],
            "embedding": pa.array([[1.0, 0.0], [0.0, 1.0]], pa.list_(pa.float32())),
            "price": pa.array([decimal.Decimal("1.10"), None]),
            "__index_level_0__": [7, 8],
        }
    )
    pq.write_table(table, file)
    names = ("--id", "_id", "--text", "content", "--vector", "embedding")

    result = run("add", file, *place, *names)
    assert 2 == result.exit_code
    assert "frame.parquet: row 1: " in result.stderr
    assert "'price', got a Decimal; --type price=float64 or price=string changes" in result.stderr
    result = run("add", file, *place, *names, "--type", "price=string")
    assert 2 == result.exit_code
    assert "cannot be named '__index_level_0__'" in result.stderr
    assert "--rename and --drop change that" in result.stderr
    more = ("--type", "price=string", "--drop", "__index_level_0__")
    assert 2 == output_of("add", file, *place, *names, *more)["added"]
    assert {"id": 1, "text": "one", "price": "1.10"} == output_of("get", 1, *place)[0]
    (row,) = output_of("get", 2, "--column", "vector", *place)
    assert [0.0, 1.0] == row["vector"]


def test_standard_input(place):
    rows = '{"text": "first", "id": "a"}\n{"text": "second", "id": "b"}\n'
    assert 2 == output_of("add", "-", *place, stdin=rows)["added"]
    csv = "text,id\nthird,c\n"
    assert 3 == output_of("add", "-", "--format", "csv", *place, stdin=csv)["rows"]
    assert ["a", "b", "c"] == [row["id"] for row in output_of("list", *place)]
    result = run("add", "-", *place, stdin='{"text": "x"}\n{"text": 3}\n')
    assert 2 == result.exit_code
    assert "standard input:2: expected a text under 'text', got 3" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--text", "bdy"], "notes.jsonl: no row has a column 'bdy'; expected some of: body, id"),
        (["--drop", "nothing"], "no row has a column 'nothing'"),
        (["--text", "body", "--rename", "id=text"], "would both become 'text'"),
        (["--rename", "id=body"], "columns 'id' and 'body' would both become 'body'; --drop"),
        (["--text", "body", "--rename", "body=b"], "'body' would become 'text' and 'b'"),
        (["--text", "body", "--drop", "body"], "is left out and taken"),
        (["--text", "body", "--type", "n=date"], "expected string, int64, float64, bool"),
        (["--text", "body", "--type", "n=int64"], "notes.jsonl:1: column 'n': expected a whole"),
        (["--text", "body", "--rename", "n"], "expected --rename OLD=NEW, got 'n'"),
        (["--text", "body", "--rename", "n=a", "--rename", "n=b"], "'n' is given twice"),
        (["--text", "body", "--rename", "n=_n"], "cannot be named '_n'"),
        (["--text", "body", "--format", "csv"], "--format is of standard input"),
        (["--text", "body", "--drop-missing"], "expected --existing skip or replace"),
        ([], "expected a text under 'text', or a 'vector'; got 'body', 'id', 'n'; --text names"),
    ],
)
def test_columns_that_cannot_be_are_errors(tmp_path, place, options, message):
    file = tmp_path / "notes.jsonl"
    file.write_text('{"body": "x", "id": "a", "n": "1.5"}\n')

    result = run("add", file, *place, *options)

    assert 2 == result.exit_code
    assert message in result.stderr
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("value", "kind", "right"),
    [
        ("7", "int64", 7),
        (" 7.0 ", "int64", 7),
        (decimal.Decimal("0.1"), "float64", 0.1),
        ("", "int64", None),
        ("", "string", ""),
        (None, "bool", None),
        (True, "bool", True),
        (True, "string", "true"),
        (7, "string", "7"),
        (2**60, "int64", 2**60),
    ],
)
def test_values_of_another_type(value, kind, right):
    made = Columns(types={"n": kind}).applied({"n": value})["n"]

    assert (right, type(right)) == (made, type(made))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("x", "int64"),
        ("1.5", "int64"),
        ("inf", "int64"),
        (True, "int64"),
        ("nan", "float64"),
        ("1e999", "float64"),
        ([1], "string"),
        ("yes", "bool"),
    ],
)
def test_values_that_are_of_no_other_type(value, kind):
    with pytest.raises(DataError, match="column 'n': expected"):
        Columns(types={"n": kind}).applied({"n": value})


def test_an_edited_text_comes_in_once(tmp_path, place):
    """Fault V15: a line in front changes no paragraph; what left the file may go."""
    file, other = tmp_path / "book.txt", tmp_path / "other.txt"
    file.write_text("One.\n\nTwo.\n\nOne.\n")
    other.write_text("Zero.\n")
    output_of("add", other, *place)
    assert 3 == output_of("add", file, *place)["added"]
    file.write_text("Zero.\n\nOne.\n\nTwo.\n\nOne.\n")
    done = output_of("add", file, *place, "--existing", "skip")
    assert (1, 3, 5) == (done["added"], done["skipped"], done["rows"])
    file.write_text("New.\n\nOne.\n")

    done = output_of("add", file, *place, "--existing", "replace", "--drop-missing")

    assert {"added": 1, "replaced": 1, "skipped": 0, "dropped": 3, "rows": 3} == done
    rows = {(row["source"], row["text"], row["line"]) for row in output_of("list", *place)}
    assert {("other.txt", "Zero.", 1), ("book.txt", "New.", 1), ("book.txt", "One.", 3)} == rows


def test_rows_without_a_source_do_not_leave(tmp_path, place):
    file = tmp_path / "notes.jsonl"
    file.write_text('{"text": "x", "id": "a"}\n')

    result = run("add", file, *place, "--existing", "skip", "--drop-missing")

    assert 2 == result.exit_code
    assert "id 'a': expected a text under 'source'" in result.stderr
