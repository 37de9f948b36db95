"""`aios quantize`."""

import json

import torch
from safetensors.torch import save_file

from aios_core.config import resolve
from aios_core.contracts import QuantizedTensor
from aios_core.training.trainer import train
from aios_core.weights import WeightLoader


def test_a_run_becomes_a_file_that_samples_and_converts(aios, tmp_path):
    (tmp_path / "corpus.txt").write_text("a bottle of milk, and another. " * 60)
    values = {
        "dataset": {"type": "file", "path": str(tmp_path / "corpus.txt")},
        "tokenizer": {"type": "bytes"},
        "backbone": {"type": "transformer", "dim": 32, "layers": 1, "heads": 2},
        "diffusion": {"length": 16},
        "training": {"steps": 2, "batch_size": 2},
        "sampler": {"type": "ancestral", "steps": 2},
    }
    train(resolve(values), tmp_path / "run", progress=False)

    told = json.loads(aios("quantize", "run", "--quantizer", "rtn", "--bits", "4", "--json"))
    assert "run/int4.parquet" == told["output"]
    assert told["bytes"] < told["bytes_before"]
    written = json.loads(aios("sample", "run/int4.parquet", "--length", "8", "--json"))
    assert 1 == len(written)
    listed = aios("weights", "ls", "run/int4.parquet")
    assert "backbone.blocks.0.feed_forward.up.weight" in listed
    assert "rtn int4 g64" in listed
    aios("weights", "convert", "run/int4.parquet", "back.safetensors", "--dequantize")
    assert "1 of" not in aios("weights", "diff", "back.safetensors", "back.safetensors")

    words = ("--bits-per-weight", "4.6", "--texts", "4", "--set", "quantizer.group_size=32")
    told = json.loads(aios("quantize", "run", *words, "--json"))
    assert "run/mixed-4.6.parquet" == told["output"]
    assert "backbone.blocks.0.feed_forward.up.weight" in told["bits"]
    assert {2, 3, 4, 8} >= set(told["bits"].values())
    assert 1 == len(json.loads(aios("sample", "run/mixed-4.6.parquet", "--length", "8", "--json")))


def test_a_file_of_tensors_is_quantized_but_for_what_is_excluded(aios, tmp_path):
    names = ["embed.weight", "a.weight", "b.weight", "a.bias", "table"]
    tensors = {name: torch.randn(16, 64) for name in names} | {"norm": torch.ones(64)}
    tensors["a.bias"] = torch.zeros(16)
    save_file(tensors, tmp_path / "m.safetensors")

    told = aios("quantize", "m.safetensors", "--quantizer", "rtn", "--bits", "3")
    assert "m-int3.parquet: " in told
    found = WeightLoader.open("m-int3.parquet")
    assert {"a.weight", "b.weight"} == {n for n in found if isinstance(found[n], QuantizedTensor)}
    aios(
        "quantize",
        "m.safetensors",
        "--quantizer",
        "rtn",
        "--exclude",
        "b*",
        "--output",
        "x.parquet",
    )
    found = WeightLoader.open("x.parquet")
    packed = {n for n in found if isinstance(found[n], QuantizedTensor)}
    assert {"a.weight", "embed.weight"} == packed
    assert torch.equal(tensors["table"], found["table"])


def test_a_budget_is_shared_by_all_matrices(aios, tmp_path):
    generator = torch.Generator().manual_seed(0)
    easy = torch.randint(-1, 3, (64, 256), generator=generator).float()
    other = torch.randn(64, 256, generator=generator)
    save_file({"a.weight": easy, "b.weight": other}, tmp_path / "m.safetensors")

    told = json.loads(aios("quantize", "m.safetensors", "--bits-per-weight", "3.6", "--json"))
    assert "m-mixed-3.6.parquet" == told["output"]
    assert {"a.weight": 2, "b.weight": 4} == told["bits"]
    assert told["bits_per_weight"] <= 3.6
    told = aios("quantize", "m.safetensors", "--bits-per-weight", "1", code=2)
    assert "m.safetensors: 1 bits a weight cannot be reached; the smallest choice" in told
    told = aios("quantize", "m.safetensors", "--bits-per-weight", "3", "--bits", "4", code=2)
    assert "exclude each other" in told


def test_mistakes_are_told(aios, tmp_path):
    weight = torch.ones(4, 4)
    weight[1, 2] = torch.inf
    save_file({"a.weight": weight}, tmp_path / "m.safetensors")

    told = aios("quantize", "m.safetensors", "--quantizer", "rtn", code=2)
    assert "error: m.safetensors: a.weight: row 1, column 2 is inf" in told
    assert not (tmp_path / "m-int4.parquet").exists()
    told = aios("quantize", "m.safetensors", "--quantizer", "rnt", code=2)
    assert "quantizer.type" in told
    assert "rtn" in told
    told = aios("quantize", "m.safetensors", "--quantizer", "rtn", "--quality", "best", code=2)
    assert "unknown key" in told
    assert "error: nothing: " in aios("quantize", "nothing", "--quantizer", "rtn", code=2)
