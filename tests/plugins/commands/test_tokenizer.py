"""``aios tokenizer`` trains, encodes, decodes and inspects."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pyarrow import feather

from aios_core.cli import cli

TEXT = "the thesis is that the thicker thief thinks 香蕉\n"


def run(*arguments, stdin=None, **more):
    return CliRunner().invoke(cli, ["tokenizer", *map(str, arguments)], input=stdin, **more)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "text.txt").write_text(TEXT * 3)
    output = folder / "tokenizer.json"
    result = run("train", folder / "text.txt", "--vocab-size", 275, "--output", output)
    assert 0 == result.exit_code, result.output
    return output


def test_ids_go_there_and_back(file):
    ids = json.loads(run("encode", TEXT, "--tokenizer", file, "--json").stdout)
    assert TEXT == run("decode", *ids, "--tokenizer", file).stdout
    assert " ".join(map(str, ids)) + "\n" == run("encode", "--tokenizer", file, stdin=TEXT).stdout


def test_an_array_of_texts_gives_an_array_of_ids(file, tmp_path):
    texts = [TEXT, "", "x"]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    options = ("--tokenizer", file, "--json", "--jsonl-in", tmp_path / "texts.json")
    rows = json.loads(run("encode", *options).stdout)
    single = [json.loads(run("encode", t, "--tokenizer", file, "--json").stdout) for t in texts]
    assert single == rows


def test_lines_of_texts_give_lines_of_ids(file, tmp_path):
    """Fault T6: and what is called JSON lines is that."""
    texts = [TEXT, "", "[x", "\u2028<mask>"]
    path = tmp_path / "texts.jsonl"
    path.write_text("\ufeff" + "\n".join(map(json.dumps, texts)) + "\n\n", encoding="utf-8")
    single = [json.loads(run("encode", t, "--tokenizer", file, "--json").stdout) for t in texts]
    options = ("encode", "--tokenizer", file, "--jsonl-in")

    assert single == [json.loads(line) for line in run(*options, path).stdout.splitlines()]
    path.write_text("\n".join(json.dumps({"body": t}, ensure_ascii=False) for t in texts))
    result = run(*options, path, "--field", "body")
    assert single == [json.loads(line) for line in result.stdout.splitlines()]
    result = run(*options, "-", stdin='"the"\n7\n')
    assert "-:2: expected a text, or an object with one under 'text'" in result.stderr
    result = run(*options, path)
    assert "texts.jsonl:1: expected a text, or an object with one under 'text'" in result.stderr
    assert "got dict with 'body'" in result.stderr
    result = run(*options, "-", stdin='"the"\n{\n')
    assert "-:2: expected JSON" in result.stderr
    result = run(*options, "-", stdin='["the", 7]')
    assert "-: item 1: expected a text, got int" in result.stderr
    assert 2 == run(*options, path, "TEXT").exit_code
    assert 2 == run("encode", "x", "--field", "a", "--tokenizer", file).exit_code


def test_ids_are_read_from_stdin_as_they_are_printed(file):
    """Fault T6, Fault E9: what `encode` prints, `decode` reads."""
    for option in ((), ("--json",)):
        ids = run("encode", TEXT, "--tokenizer", file, *option).stdout
        assert TEXT == run("decode", "--tokenizer", file, stdin=ids).stdout
    for wrong, message in (
        ("", "expected IDS, or ids on stdin"),
        ("312 x", "expected ids, whole numbers from 0 on, got 'x'"),
        ("-1", "got '-1'"),
        ("9" * 30, "got '999"),
    ):
        result = run("decode", "--tokenizer", file, stdin=wrong)
        assert 2 == result.exit_code
        assert message in result.stderr


def test_a_text_that_begins_with_a_dash_goes_behind_two(file):
    """Fault T6, Fault E9: and the message says so."""
    result = run("encode", "-5", "--tokenizer", file)

    assert 2 == result.exit_code
    assert "An argument that begins with a dash goes behind --" in result.stderr
    ids = json.loads(run("encode", "--tokenizer", file, "--json", "--", "-5").stdout)
    assert "-5" == run("decode", *ids, "--tokenizer", file).stdout


def test_special_tokens_are_text_unless_asked_for(file):
    """Fault T6."""
    encode = ("encode", "<mask>the", "--tokenizer", file, "--json")

    assert not {0, 1, 2, 3} & set(json.loads(run(*encode).stdout))
    assert 0 == json.loads(run(*encode, "--parse-special").stdout)[0]
    inspect = ("inspect", "<mask>", "--tokenizer", file, "--json", "--parse-special")
    assert ["<mask>"] == json.loads(run(*inspect).stdout)["pieces"]


def test_which_library_works_is_told(file, tmp_path):
    """Fault T6: and why it is not the engine."""
    other = tmp_path / "nfc.json"
    other.write_text(json.dumps(json.loads(file.read_text()) | {"normalizer": {"type": "NFC"}}))

    assert "read by our engine" in run("inspect", "the", "--tokenizer", file).stderr
    assert "" == run("encode", "the", "--tokenizer", file).stderr
    for command in ("encode", "inspect"):
        result = run(command, "the", "--tokenizer", other)
        assert "nfc.json: read by the library tokenizers" in result.stderr
        assert "it has a normalizer" in result.stderr
    report = json.loads(run("inspect", "the", "--tokenizer", other, "--json").stdout)
    assert ("tokenizers", "it has a normalizer") == (report["backend"], report["reason"])


def test_inspection_counts(file):
    report = json.loads(run("inspect", "the thief", "--tokenizer", file, "--json").stdout)
    assert "the thief" == "".join(report["pieces"])
    assert len(report["ids"]) == report["tokens"]
    assert 2 * report["fertility"] == report["tokens"]
    assert 9 == pytest.approx(report["bytes_per_token"] * report["tokens"])


def test_pieces_are_shown_in_two_colours_by_turns(file):
    result = run("inspect", "the thief\n\x1b[2J", "--tokenizer", file, color=True)
    parts = re.findall(r"\x1b\[(\d+)m\x1b\[7m(.*?)\x1b\[0m", result.stdout)

    assert "the thief\\n\\x1b[2J" == "".join(piece for _, piece in parts)
    assert ["36", "35"] * 2 == [colour for colour, _ in parts][:4]
    assert "the thief\n" == run("inspect", "the thief", "--tokenizer", file).stdout
    assert "tokens " in result.stderr
    assert "fertility " in result.stderr
    assert "bytes per token " in result.stderr


def test_columns_of_tables_are_texts(file, tmp_path):
    table = pa.table({"body": [TEXT] * 3})
    pq.write_table(table, tmp_path / "t.parquet")
    feather.write_feather(table, tmp_path / "t.arrow", compression="uncompressed")
    for name in ("t.parquet", "t.arrow"):
        output = tmp_path / f"{name}.json"
        arguments = ("--vocab-size", 275, "--field", "body", "--output", output)
        assert 0 == run("train", tmp_path / name, *arguments).exit_code
        assert file.read_text() == output.read_text()


def test_fields_of_json_lines_are_texts(file, tmp_path):
    (tmp_path / "texts.jsonl").write_text(json.dumps({"body": TEXT * 3}) + "\n")
    arguments = ("train", tmp_path / "texts.jsonl", "--vocab-size", 275, "--output")
    result = run(*arguments, tmp_path / "t.json", "--field", "body")
    assert (0, file.read_text()) == (result.exit_code, (tmp_path / "t.json").read_text())
    result = run(*arguments, tmp_path / "other.json", "--field", "text")
    assert 2 == result.exit_code
    assert (
        "texts.jsonl:1: expected a text under 'text', got no such key among ['body']"
        in result.stderr
    )


def test_lines_of_config_ablate_tokenizers(file, tmp_path):
    kinds = ["bpe", "bytes", "hf", "tiktoken"]
    (tmp_path / "a.toml").write_text(
        'dataset.type = "python-docs"\n[[ablate.zip]]\n'
        f'"tokenizer.type" = {kinds}\n"tokenizer.file" = {[str(file)] * 4}\n'
        f'"tokenizer.encoding" = {["cl100k_base"] * 4}\n'
    )
    result = CliRunner().invoke(cli, ["ablate", str(tmp_path / "a.toml"), "--dry-run"])
    assert 0 == result.exit_code, result.output
    assert "4 trials in 4 arms" in result.output
    assert all(kind in result.output for kind in kinds)


@pytest.mark.parametrize(
    ("size", "output", "message"),
    [
        (5, "t.json", "--vocab-size: expected a number >= 260, got 5"),
        (2**30, "t.json", "--vocab-size: expected a number <= 524288"),
        (275, ".", "expected a file in a folder that exists"),
        (275, "nowhere/t.json", "nowhere/t.json: expected a file in a folder that exists"),
        (32_000, "t.json", "expected more text, --vocab-size <= "),
    ],
)
def test_what_cannot_be_trained_is_told(tmp_path, size, output, message):
    (tmp_path / "text.txt").write_text(TEXT)
    arguments = ("--vocab-size", size, "--output", tmp_path / output)
    result = run("train", tmp_path / "text.txt", *arguments)
    assert 2 == result.exit_code
    assert message in result.stderr
    assert ["text.txt"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": {"type": "BPE"}}'])
def test_mistakes_are_told(tmp_path, content):
    (tmp_path / "t.json").write_text(content)
    # A folder is read as that of a published model, which has its tokenizer in it.
    places = {tmp_path: tmp_path / "tokenizer.json"}
    for path in (tmp_path / "t.json", tmp_path / "missing.json", tmp_path):
        result = run("encode", "x", "--tokenizer", path)
        assert 2 == result.exit_code
        assert result.stderr.startswith(f"error: {places.get(path, path)}:")
