"""Bad input through the real commands: an error with file and row, and nothing is overwritten."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from aios_core.cli import cli
from aios_plugins.datasets.file import File

CONFIG = """
name = "tiny"

[dataset]
type = "file"
path = "pairs.jsonl"
prompt = "{question} = "
answer = "answer"

[tokenizer]
type = "bytes"

[backbone]
dim = 32
layers = 1
heads = 2

[diffusion]
length = 24

[training]
steps = 4
batch_size = 4

[sampler]
steps = 4

[sampling]
num_samples = 2

[evaluation]
twin = false
"""
ROWS = [{"question": f"{a}+{b}", "answer": str(a + b)} for a in range(6) for b in range(6)]


def lines(*rows):
    return b"\n".join(json.dumps(row).encode() for row in rows)


def aios(*arguments, code=0):
    result = CliRunner().invoke(cli, arguments)
    assert code == result.exit_code, result.output
    return result


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a configuration, its rows, and a run of it."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "tiny.toml").write_text(CONFIG)
    (folder / "pairs.jsonl").write_bytes(lines(*ROWS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIOS_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        aios("run", "tiny.toml")
    return folder


@pytest.fixture(autouse=True)
def kept(trained, monkeypatch):
    """Works in the folder, and asserts that the run in it is as it was."""
    monkeypatch.setenv("AIOS_CACHE", str(trained / "cache"))
    monkeypatch.chdir(trained)
    before = contents(trained / "runs" / "tiny")
    yield
    assert before == contents(trained / "runs" / "tiny")
    assert [trained / "runs" / "tiny"] == [*(trained / "runs").iterdir()]


EMPTY = lines(*ROWS[:4], {"question": "1+1", "answer": ""}, *ROWS[5:])
LONG = lines(*ROWS[:4], {"question": "1+" * 40, "answer": "40"}, *ROWS[5:])
BYTES = lines(*ROWS[:4], "?", *ROWS[5:]).replace(b'"?"', b'{"question": "\xff", "answer": "1"}')
MISSING = lines(*ROWS[:4], {"quest": "1+1", "answer": "2"}, *ROWS[5:])
TEMPLATE = '--set=dataset.prompt="{question} {hint}: "'
COPY = "--set=dataset.validation=bad.jsonl"


@pytest.mark.parametrize(
    ("rows", "setting", "message"),
    [
        (EMPTY, "", "bad.jsonl:5: the answer is empty; expected text in 'answer'"),
        (LONG, "", "split has 87 tokens, its begin and end token among them, and 1 rows"),
        (LONG, "", "bad.jsonl:5: row "),
        (BYTES, "", "bad.jsonl:5: byte 14 (0xff) is not utf-8"),
        (MISSING, "", "bad.jsonl:5: no column 'question'; expected one of quest, answer"),
        (lines(*ROWS), TEMPLATE, "bad.jsonl:1: no column 'hint'; expected one of question, answer"),
    ],
)
@pytest.mark.parametrize("output", ["runs/tiny", "runs/new"])
def test_rows_that_cannot_be_learned_from(trained, output, rows, setting, message):
    """Beside a run that is there, and where there is none: no folder is left of it."""
    (trained / "bad.jsonl").write_bytes(rows)
    words = ("--set=dataset.path=bad.jsonl", *filter(None, [setting]), "--output", output)
    error = aios("run", "tiny.toml", *words, code=2).stderr

    assert message in error or (output == "runs/tiny" and "holds a run of another" in error)


def test_a_validation_file_that_is_the_training_file(trained):
    (trained / "bad.jsonl").write_bytes(lines(*ROWS))
    error = aios("run", "tiny.toml", COPY, "--output", "runs/new", code=2).stderr

    assert "bad.jsonl: the validation file holds what the training file" in error
    assert "pairs.jsonl does; expected" in error


def test_a_file_that_changes_while_it_is_read(trained, monkeypatch):
    """Between its fourth row and its fifth."""
    path, row, count = trained / "bad.jsonl", File.row, []
    path.write_bytes(lines(*ROWS))

    def changed(self, values, where):
        count.append(where)
        if len(count) == 4:
            path.write_bytes(lines(*ROWS[::-1], *ROWS))
        return row(self, values, where)

    monkeypatch.setattr(File, "row", changed)
    words = ("--set=dataset.path=bad.jsonl", "--output", "runs/new")
    error = aios("run", "tiny.toml", *words, code=2).stderr
    assert "bad.jsonl: was changed while it was being read" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--prompt", "1+" * 20), "the prompt has 43 tokens and samples have 23; expected a short"),
        (("--prompts", "long.txt"), "long.txt:2: the text has 43 tokens and samples have 23"),
        (("--prompts", "bytes.txt"), "bytes.txt:2: byte 0 (0xff) is not utf-8"),
        (("--infill", "1+<mask:24> = 4"), "<mask:24> at character 2: expected a gap of 1 to 23 to"),
        (("--infill", "1+<mask:20> = 4"), "would have 26 tokens, 6 of them given; the context is"),
    ],
)
def test_what_does_not_fit_the_context(trained, words, message):
    (trained / "long.txt").write_text(f"1+1\n{'1+' * 20}\n")
    (trained / "bytes.txt").write_bytes(b"1+1\n\xff\n")
    error = aios("sample", "runs/tiny", *words, code=2).stderr

    assert message in error
