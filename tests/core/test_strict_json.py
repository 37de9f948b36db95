"""JSON of others: each key once, and no byte order mark."""

import codecs
import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from aios_core import strict_json
from aios_core.cli import cli
from aios_core.errors import EvolutionError, ModelLoadError
from aios_core.formats import open_tensors
from aios_plugins.evolution.card import read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(value=VALUES, encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_it_reads_what_json_reads(value, encoding):
    text = json.dumps(value)

    assert value == strict_json.loads(text)
    assert value == strict_json.loads(f"\ufeff{text}")
    assert value == strict_json.loads(text.encode(encoding))


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '[{"b": {"a": 1, "c": 2, "a": 3}}]'])
def test_a_key_that_comes_twice_is_named(text):
    with pytest.raises(strict_json.RepeatedKeyError, match="got 'a' twice"):
        strict_json.loads(text)


def test_a_key_may_come_again_in_another_object():
    assert {"a": [{"a": 1}, {"a": 2}]} == strict_json.loads('{"a": [{"a": 1}, {"a": 2}]}')


def test_files_of_others_say_each_key_once(tmp_path):
    """A card of a skill, an index of shards, and a schema."""
    path = tmp_path / "model.safetensors.index.json"
    path.write_text('{"r": 4, "r": 8, "weight_map": {}}')

    with pytest.raises(EvolutionError, match="got 'r' twice"):
        read_json(path)
    with pytest.raises(ModelLoadError, match="got 'r' twice"):
        open_tensors(path)


def test_files_of_others_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "adapter_config.json"
    path.write_bytes(codecs.BOM_UTF8 + b'{"r": 4}')

    assert {"r": 4} == read_json(path)


def test_texts_and_schemas_say_each_key_once(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n{"n": 4, "n": 8, "text": "x"}\n')
    tokenizer = tmp_path / "tokenizer.json"
    train = ("tokenizer", "train", str(path), "--output", str(tokenizer))
    assert 0 == CliRunner().invoke(cli, [*train, "--vocab-size", "260"]).exit_code
    encode = ("tokenizer", "encode", "--tokenizer", str(tokenizer), "--jsonl-in", str(path))
    sample = ("sample", str(tmp_path), "--json-schema", str(path))

    for words in ((*train, "--field", "text", "--overwrite"), encode):
        result = CliRunner().invoke(cli, words)
        assert 2 == result.exit_code
        assert f"{path}:2: expected each key once in an object, got 'n' twice" in result.stderr
    path.write_text('{"type": "array", "type": "boolean"}')
    assert "got 'type' twice" in CliRunner().invoke(cli, sample).stderr
