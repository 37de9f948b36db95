"""Readers of files by their suffix: of ours, and of a third party in every use."""

import json
import subprocess
import sys
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from pyarrow import feather

from aios_core.cli import cli
from aios_core.errors import ModelSaveError, PluginError
from aios_core.formats import open_tensors, reader_named, reader_of, save_tensors
from aios_core.memory import Place, open_store
from aios_core.registry import Registry
from aios_plugins.commands.memory.importing import import_file
from aios_plugins.datasets.file import File

pytest_plugins = ["aios_core.testing.fixtures"]

UPPER = """
import aios_core
from attrs import frozen
from aios_core.contracts import FileReader
from aios_core.contracts.reader import FileRow, unseen

AIOS_API = 1

@frozen
class Shouted(FileReader):
    def rows(self, path, on_progress=unseen):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            yield FileRow(number, {"text": line.upper(), "n": number}, None)

    def example(self):
        return b"first\\nsecond\\n"

@aios_core.hookimpl
def aios_file_readers():
    return {"shout": Shouted, "shout-gz": "no_such_module:Gone"}
"""


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("a.jsonl", "JsonLines"),
        ("a.NDJSON", "JsonLines"),
        ("a.b.parquet", "Parquet"),
        ("a.feather", "Arrow"),
        ("a.zip", "Archive"),
        ("a.csv", "Csv"),
        ("a.TSV", "Tsv"),
        ("a.json", "Json"),
        ("a.txt", "Text"),
        ("a.md", "Text"),
        ("a", "Text"),
        ("jsonl", "Text"),
        (".jsonl", "JsonLines"),
        ("a.jsonl.gz", "Gzip"),
        ("a.x-jsonl", "Text"),
    ],
)
def test_the_suffix_chooses_and_what_has_none_is_text(tmp_path, name, cls):
    assert cls == type(reader_of(tmp_path / name)).__name__


def test_a_third_party_s_reader_serves_memories_data_sets_and_commands(tmp_plugin, tmp_path):
    tmp_plugin(UPPER, module="shouted")
    path = tmp_path / "a.shout"
    path.write_text("one\ntwo")
    place = Place.of(f"numpy:{tmp_path / 'store'}")
    done = import_file(place, path)
    with open_store(place) as store:
        batches = list(store.to_batches(columns=["text", "n"]))
    rows = {row["text"]: row["n"] for batch in batches for row in batch.to_pylist()}
    words = ["tokenizer", "train", "--vocab-size", "260", "--field", "text", "--output"]
    trained = CliRunner().invoke(cli, [*words, str(tmp_path / "tokenizer"), str(path)])

    assert (2, {"ONE": 1, "TWO": 2}) == (done.added, rows)
    assert ["ONE", "TWO"] == list(File(path).documents())
    assert 0 == trained.exit_code, trained.output
    assert f"{path}:1" == reader_of(path).where(path, 1)


def test_a_reader_that_cannot_be_used_is_no_reason_to_read_text(tmp_plugin, tmp_path):
    tmp_plugin(UPPER, module="shouted")
    with pytest.raises(PluginError, match="no_such_module is gone"):
        reader_of(tmp_path / "a.shout.gz")
    assert "Shouted" == type(reader_of(tmp_path / "b.gz.shout")).__name__
    with pytest.raises(PluginError, match=r"no reader is called 'guess'; known: .*jsonl"):
        reader_named("guess")


def test_two_readers_of_a_suffix_are_a_conflict(tmp_plugin, tmp_path):
    tmp_plugin(UPPER.replace('"shout"', '"jsonl"'), module="shouted", distribution="aios-shouted")
    with pytest.raises(PluginError, match=r"reader.jsonl is offered more than once"):
        reader_of(tmp_path / "a.jsonl")
    pinned = Registry.discover(use={"reader.jsonl": "aios-shouted"})
    assert "Shouted" == type(reader_of(tmp_path / "a.jsonl", pinned)).__name__


def test_every_kind_serves_memories_and_data_sets(tmp_path):
    """Tables too, which were memories or data sets alone."""
    texts = ["one", "two"]
    table = pa.table({"text": texts})
    pq.write_table(table, tmp_path / "a.parquet")
    feather.write_feather(table, tmp_path / "a.arrow")
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (tmp_path / "a.ndjson").write_text(lines)
    for name in ("a.parquet", "a.arrow", "a.ndjson"):
        place = Place.of(f"numpy:{tmp_path / name}-store")

        assert texts == list(File(tmp_path / name).documents())
        assert 2 == import_file(place, tmp_path / name).added


def test_to_ask_for_a_reader_imports_only_that(tmp_path):
    """A data set of text needs no Arrow."""

    code = """
import sys
from itertools import pairwise
from pathlib import Path
from aios_core.formats import reader_of
reader_of(Path("a.jsonl"))
print([name for name in ("torch", "numpy", "pyarrow") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


HEX = """
import aios_core
from attrs import frozen
from aios_core.scaffold.examples.tensor_format import Hexadecimal as Base

AIOS_API = 1

@frozen
class Hexadecimal(Base):
    def recognizes(self, head):
        return head.startswith(b'{')

@aios_core.hookimpl
def aios_tensor_formats():
    return {"hexa": Hexadecimal, "gone": "no_such_module:Gone"}
"""


def test_a_third_party_s_format_converts_there_and_back(tmp_plugin, tmp_path):
    """By its suffix, and by what a file of another suffix begins with."""
    tmp_plugin(HEX, module="hexa")
    names = ("m.pt", "m.hexa", "n.parquet", "n.safetensors")
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(5, dtype=torch.int16)}
    torch.save(tensors, tmp_path / names[0])
    for before, after in pairwise(names):
        words = ("weights", "convert", str(tmp_path / before), str(tmp_path / after))
        done = CliRunner().invoke(cli, words)
        assert 0 == done.exit_code, done.output
    (tmp_path / "m.hexa").rename(tmp_path / "m.unknown")
    for name in ("m.unknown", "n.safetensors"):
        opened = open_tensors(tmp_path / name)
        assert all(torch.equal(tensor, opened.get(key)) for key, tensor in tensors.items())
    with pytest.raises(PluginError, match="no_such_module is gone"):
        open_tensors(tmp_path / "m.gone")


def test_an_index_of_shards_is_only_read(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "m.pt")
    with pytest.raises(ModelSaveError, match="an index of shards is only read; expected"):
        save_tensors(open_tensors(tmp_path / "m.pt"), tmp_path / "m.safetensors.index.json")
    assert [tmp_path / "m.pt"] == list(tmp_path.iterdir())
