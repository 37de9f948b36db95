"""Texts from files, a little at a time."""

import codecs
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from aios_core.errors import TokenizerError
from aios_plugins.commands.tokenizer import corpus
from aios_plugins.tokenizers.bpe import Bpe

TEXTS = ["the thesis\n", "", "é 香蕉"]


def read(path, field=None):
    pairs = list(corpus.texts(path, field))
    assert sorted(done for _, done in pairs) == [done for _, done in pairs]
    return [text for text, _ in pairs], pairs[-1][1]


def test_blocks_have_the_words_of_the_whole(tmp_path, monkeypatch):
    text = "the thesis   is\n\n  that 'tis 香蕉 x\r\n  " * 2000
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode())
    whole = Bpe(vocab_size=280).train([text])
    monkeypatch.setattr(corpus, "BLOCK", 7000)
    blocks, size = read(path)

    assert text == "".join(blocks)
    assert 5 < len(blocks)
    assert len(text.encode()) == size
    assert whole.fingerprint == Bpe(vocab_size=280).train(blocks).fingerprint


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "text.txt").write_bytes(codecs.BOM_UTF8 + b"the thesis")
    (tmp_path / "text.jsonl").write_bytes(codecs.BOM_UTF8 + b'{"text": "the thesis"}')

    assert "the thesis" == "".join(read(tmp_path / "text.txt")[0])
    assert ["the thesis"] == read(tmp_path / "text.jsonl", "text")[0]


def test_a_text_without_words_is_one_block(tmp_path, monkeypatch):
    (tmp_path / "text.txt").write_text("-" * 5000)
    monkeypatch.setattr(corpus, "BLOCK", 100)

    assert "-" * 5000 == "".join(read(tmp_path / "text.txt")[0])


def test_columns_and_fields(tmp_path):
    table = pa.table({"n": [1, 2, 3], "text": TEXTS})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    feather.write_feather(table, tmp_path / "t.feather", chunksize=2)
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    (tmp_path / "t.jsonl").write_text(lines + "\n")
    for name in ("t.parquet", "t.feather", "t.jsonl"):
        assert TEXTS == read(tmp_path / name, "text")[0]


@pytest.mark.parametrize(
    ("name", "field", "message"),
    [
        ("t.parquet", "x", r"t\.parquet: no column 'x'; expected one of n, text"),
        ("t.parquet", "n", r"t\.parquet: row 1: 'n' is int; expected text"),
        ("bad.parquet", "text", r"bad\.parquet: "),
        ("bad.feather", "text", r"bad\.feather: "),
        ("t.jsonl", "text", r"t\.jsonl:2: expected an object with text, got list"),
        ("n.jsonl", "text", r"n\.jsonl:1: expected a text under 'text', got NoneType"),
        ("raw.txt", None, r"raw\.txt: .*utf-8"),
        ("none.txt", None, r"none\.txt: no such file"),
        (".", None, "is a folder; expected a file of texts"),
    ],
)
def test_mistakes_are_told(tmp_path, name, field, message):
    pq.write_table(pa.table({"n": [1], "text": ["a"]}), tmp_path / "t.parquet")
    for bad in ("bad.parquet", "bad.feather"):
        (tmp_path / bad).write_text("no table")
    (tmp_path / "t.jsonl").write_text('{"text": "a"}\n[]\n')
    (tmp_path / "n.jsonl").write_text('{"text": null}\n')
    (tmp_path / "raw.txt").write_bytes(b"\xff")
    with pytest.raises(TokenizerError, match=message):
        list(corpus.texts(tmp_path / name, field))
