"""``aios tokenizer`` trains, encodes, decodes and inspects."""

import json

import pytest
from click.testing import CliRunner

from aios_core.cli import cli

TEXT = "the thesis is that the thicker thief thinks 香蕉\n"


def run(*arguments, stdin=None):
    return CliRunner().invoke(cli, ["tokenizer", *map(str, arguments)], input=stdin)


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


def test_fields_of_json_lines_are_texts(file, tmp_path):
    (tmp_path / "texts.jsonl").write_text(json.dumps({"body": TEXT * 3}) + "\n")
    arguments = ("train", tmp_path / "texts.jsonl", "--vocab-size", 275, "--output")
    result = run(*arguments, tmp_path / "t.json", "--field", "body")
    assert (0, file.read_text()) == (result.exit_code, (tmp_path / "t.json").read_text())
    result = run(*arguments, tmp_path / "t.json", "--field", "text")
    assert 2 == result.exit_code
    assert "texts.jsonl:1: want a JSON object with the field 'text'" in result.stderr


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": {"type": "BPE"}}'])
def test_mistakes_are_told(tmp_path, content):
    (tmp_path / "t.json").write_text(content)
    for path in (tmp_path / "t.json", tmp_path / "missing.json", tmp_path):
        result = run("encode", "x", "--tokenizer", path)
        assert 2 == result.exit_code
        assert result.stderr.startswith(f"error: {path}:")
