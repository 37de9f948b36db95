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


def test_inspection_counts(file):
    told = json.loads(run("inspect", "the thief", "--tokenizer", file, "--json").stdout)
    assert "the thief" == "".join(told["pieces"])
    assert len(told["ids"]) == told["tokens"]
    assert 2 * told["fertility"] == told["tokens"]
    assert 9 == pytest.approx(told["bytes_per_token"] * told["tokens"])


def test_pieces_are_shown_in_two_colours_by_turns(file):
    result = run("inspect", "the thief\n\x1b[2J", "--tokenizer", file, color=True)
    pieces = re.findall(r"\x1b\[(\d+)m\x1b\[7m(.*?)\x1b\[0m", result.stdout)

    assert "the thief\\n\\x1b[2J" == "".join(piece for _, piece in pieces)
    assert ["36", "35"] * 2 == [colour for colour, _ in pieces][:4]
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
    result = run(*arguments, tmp_path / "t.json", "--field", "text")
    assert 2 == result.exit_code
    assert "texts.jsonl:1: want a JSON object with the field 'text'" in result.stderr


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
        (5, "t.json", "'vocab_size' must be >= 260: 5"),
        (2**30, "t.json", "'vocab_size' must be <= 524288"),
        (275, ".", "want a file in a folder that exists"),
        (275, "nowhere/t.json", "nowhere/t.json: want a file in a folder that exists"),
        (32_000, "t.json", "vocab_size is 32000; want more text, vocab_size <= "),
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
    for path in (tmp_path / "t.json", tmp_path / "missing.json", tmp_path):
        result = run("encode", "x", "--tokenizer", path)
        assert 2 == result.exit_code
        assert result.stderr.startswith(f"error: {path}:")
