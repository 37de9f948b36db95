"""`aios weights`."""

import json

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from aios_core.cli import cli
from aios_plugins.tensor_formats.parquet.loader import WeightLoader


@pytest.fixture
def aios(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def aios(*words, code=0):
        done = CliRunner().invoke(cli, words, prog_name="aios")
        assert code == done.exit_code, done.output
        return done.output

    return aios


@pytest.fixture
def model(tmp_path):
    tensors = {"a.weight": torch.randn(8, 4), "a.bias": torch.zeros(8, dtype=torch.bfloat16)}
    save_file(tensors, tmp_path / "model.safetensors")


def test_converts_lists_verifies_and_compares(aios, model):
    assert "model.parquet: 2 tensors" in aios(
        "weights", "convert", "model.safetensors", "model.parquet"
    )
    listed = aios("weights", "ls", "model.parquet")
    assert "a.weight  8 x 4  float32" in listed
    assert "2 tensors, 144 bytes, 1 file(s)" in listed
    assert "every tensor is as it was written: its values, name, type and shape" in aios(
        "weights", "verify", "model.parquet"
    )
    same = aios("weights", "diff", "model.safetensors", "model.parquet")
    assert "the same 2 tensors, bit for bit" in same


def test_says_it_as_json(aios, model):
    done = aios("weights", "convert", "model.safetensors", "model.parquet", "--json")
    aios("weights", "convert", "model.parquet", "model.pt")

    assert {"output": "model.parquet", "tensors": 2} == json.loads(done)
    report = json.loads(aios("weights", "ls", "model.parquet", "--json"))
    assert {"a.weight": 128, "a.bias": 16} == {
        tensor["name"]: tensor["bytes"] for tensor in report["tensors"]
    }
    assert {"faults": []} == json.loads(aios("weights", "verify", "model.parquet", "--json"))
    assert {} == json.loads(aios("weights", "diff", "model.pt", "model.parquet", "--json"))


def test_a_changed_byte_is_exit_code_1(aios, model, tmp_path):
    aios("weights", "convert", "model.safetensors", "model.parquet")
    path = tmp_path / "model.parquet"
    data = bytearray(path.read_bytes())
    data[WeightLoader.open(path).entry("a.weight").chunks[0].offset] ^= 1
    path.write_bytes(data)

    assert "model.parquet: 'a." in aios("weights", "verify", "model.parquet", code=1)
    report = json.loads(aios("weights", "verify", "model.parquet", "--json", code=1))
    assert 1 == len(report["faults"])
    assert "error: model.parquet: 'a." in aios(
        "weights", "diff", "model.safetensors", "model.parquet", code=2
    )


def test_files_that_differ_are_exit_code_1(aios, model):
    save_file({"a.weight": torch.zeros(1)}, "other.safetensors")

    output = aios("weights", "diff", "model.safetensors", "other.safetensors", code=1)
    assert "a.weight  float32 8x4, and float32 1" in output


def test_a_missing_file_is_one_message(aios):
    assert "error: none.parquet: cannot be opened" in aios("weights", "ls", "none.parquet", code=2)


@pytest.mark.parametrize("command", [["weights", "ls"], ["weights", "verify"]])
def test_a_file_of_another_kind_is_called_so(aios, model, tmp_path, command):
    """Fault T8: a healthy safetensors file is not called truncated."""
    torch.save({"a": torch.ones(1)}, tmp_path / "b.ckpt")
    code = 1 if command == ["weights", "verify"] else 2
    for name, kind in (("model.safetensors", "safetensors"), ("b.ckpt", "torch")):
        output = aios(*command, name, code=code)
        assert (
            f"{name}: is a {kind} file; expected a weight file, which `aios weights conv" in output
        )
        assert f"`aios weights convert {name} {name.split('.')[0]}.parquet`" in output
    (tmp_path / "c.gguf").write_bytes(b"GGUF" + bytes(60))
    assert "c.gguf: is of the kind GGUF; expected a weight file" in aios(
        *command, "c.gguf", code=code
    )


def test_tensors_alone_are_no_model_to_sample_from(aios, model, tmp_path):
    """No conversion is advised, for what it makes has no configuration and no tokenizer either."""
    torch.save({"a": torch.ones(1)}, tmp_path / "b.ckpt")
    aios("weights", "convert", "model.safetensors", "model.parquet")
    right = (
        "expected the folder of the run, or the weight file that `aios quantize RUN` makes of it"
    )
    for name, problem in (
        ("model.safetensors", "is a safetensors file, which has tensors and no configuration"),
        ("b.ckpt", "is a torch file, which has tensors and no configuration"),
        ("model.parquet", "its card describes no model"),
    ):
        assert f"error: {name}: {problem}; {right}" in aios("sample", name, code=2)


def test_a_model_in_shards_is_said_by_its_index(aios, model, monkeypatch):
    """Fault E7: the name that is printed is that of a file that is there."""
    from aios_plugins.tensor_formats.parquet.writer import WeightWriter

    monkeypatch.setattr(WeightWriter.__init__, "__kwdefaults__", {"max_shard": 1, "max_chunk": 99})
    output = aios("weights", "convert", "model.safetensors", "model.parquet")
    assert "model.parquet.index.json: 2 tensors" in output
