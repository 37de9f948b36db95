"""`aios quantize`."""

import json
import shutil

import torch
from safetensors.torch import load_file, save_file

from aios_core.contracts import QuantizedTensor
from aios_plugins.tensor_formats.parquet.loader import WeightLoader


def test_a_run_becomes_a_file_that_samples_and_converts(aios, tmp_path, tiny_run):
    shutil.copytree(tiny_run, tmp_path / "run")

    report = json.loads(aios("quantize", "run", "--quantizer", "rtn", "--bits", "4", "--json"))
    assert "run/int4.parquet" == report["output"]
    assert (tmp_path / "run" / "int4.parquet").stat().st_size == report["file_bytes"]
    assert report["bytes"] < report["bytes_before"]
    written = json.loads(aios("sample", "run/int4.parquet", "--length", "8", "--json"))
    assert 1 == len(written)
    listed = aios("weights", "ls", "run/int4.parquet")
    assert "backbone.blocks.0.feed_forward.up.weight" in listed
    assert "rtn int4 g64" in listed
    aios("weights", "convert", "run/int4.parquet", "back.safetensors", "--dequantize")
    assert "1 of" not in aios("weights", "diff", "back.safetensors", "back.safetensors")

    words = ("--bits-per-weight", "4.6", "--texts", "4", "--set", "quantizer.group_size=32")
    report = json.loads(aios("quantize", "run", *words, "--json"))
    assert "run/mixed-4.6.parquet" == report["output"]
    assert "backbone.blocks.0.feed_forward.up.weight" in report["bits"]
    assert {2, 3, 4, 8} >= set(report["bits"].values())
    assert 1 == len(json.loads(aios("sample", "run/mixed-4.6.parquet", "--length", "8", "--json")))

    name = "backbone.blocks.0.feed_forward.up.weight"
    words = ("--quantizer", "rtn", "--exclude", "*.feed_forward.*", "--output", "some.parquet")
    report = json.loads(aios("quantize", "run", *words, "--json"))
    assert name not in report["bits"]
    assert report["bits"]
    report = aios("quantize", "run", *words[:4], "--output", "some.parquet", code=2)
    assert "some.parquet is there already; expected a new file, or --overwrite" in report
    report = aios("quantize", "run", "--overwrite", "--exclude", "*nothing*", code=2)
    assert "--exclude '*nothing*' matches no tensor of run; expected a pattern of names" in report
    words = ("--bits-per-weight", "4.6", "--overwrite", "--texts", str(2**31 - 1))
    report = aios("quantize", "run", *words, code=2)
    assert "texts of 24 tokens: there is not enough memory; use fewer --texts (it takes" in report
    report = aios("quantize", "run", "--texts", "4", code=2)
    assert "--texts holds where texts are looked at" in report


def test_a_file_of_tensors_is_quantized_but_for_what_is_excluded(aios, tmp_path):
    names = ["embed.weight", "a.weight", "b.weight", "a.bias", "table"]
    tensors = {name: torch.randn(16, 64) for name in names} | {"norm": torch.ones(64)}
    tensors["a.bias"] = torch.zeros(16)
    save_file(tensors, tmp_path / "m.safetensors")

    output = aios("quantize", "m.safetensors", "--quantizer", "rtn", "--bits", "3")
    assert "m-int3.parquet: " in output
    assert "quantized: 2 tensors, 2048 weights of 3.5 bits" in output
    assert "left as they were: 4 tensors, 2128 weights of 32 bits (the largest is " in output
    result = WeightLoader.open("m-int3.parquet")
    assert {"a.weight", "b.weight"} == {n for n in result if isinstance(result[n], QuantizedTensor)}
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
    result = WeightLoader.open("x.parquet")
    packed = {n for n in result if isinstance(result[n], QuantizedTensor)}
    assert {"a.weight", "embed.weight"} == packed
    assert torch.equal(tensors["table"], result["table"])


def test_a_budget_is_shared_by_all_matrices(aios, tmp_path):
    generator = torch.Generator().manual_seed(0)
    easy = torch.randint(-1, 3, (64, 256), generator=generator).float()
    other = torch.randn(64, 256, generator=generator)
    save_file({"a.weight": easy, "b.weight": other}, tmp_path / "m.safetensors")

    report = json.loads(aios("quantize", "m.safetensors", "--bits-per-weight", "3.6", "--json"))
    assert "m-mixed-3.6.parquet" == report["output"]
    assert {"a.weight": 2, "b.weight": 4} == report["bits"]
    assert report["bits_per_weight"] <= 3.6
    report = aios("quantize", "m.safetensors", "--bits-per-weight", "1", code=2)
    assert "m.safetensors: 1 bits a weight cannot be reached; the smallest choice" in report
    report = aios("quantize", "m.safetensors", "--bits-per-weight", "3", "--bits", "4", code=2)
    assert "exclude each other" in report


def test_mistakes_are_told(aios, tmp_path):
    weight = torch.ones(4, 4)
    weight[1, 2] = torch.inf
    save_file({"a.weight": weight}, tmp_path / "m.safetensors")

    output = aios("quantize", "m.safetensors", "--quantizer", "rtn", code=2)
    assert "error: m.safetensors: a.weight: row 1, column 2 is inf" in output
    assert not (tmp_path / "m-int4.parquet").exists()
    output = aios("quantize", "m.safetensors", "--quantizer", "rnt", code=2)
    assert "quantizer.type" in output
    assert "rtn" in output
    output = aios("quantize", "m.safetensors", "--quantizer", "rtn", "--quality", "best", code=2)
    assert "unknown key" in output
    assert "error: nothing: " in aios("quantize", "nothing", "--quantizer", "rtn", code=2)


def test_what_was_quantized_and_what_was_left_is_said(aios, tmp_path):
    """Fault E13: 24 bits a weight of a file of 4 bits are those of what was left."""
    tensors = {"embed.weight": torch.randn(64, 64), "a.weight": torch.randn(16, 64)}
    save_file(tensors, tmp_path / "m.safetensors")
    output = aios("quantize", "m.safetensors", "--bits", "4")

    assert "quantized: 1 tensors, 1024 weights of 4.5 bits\n" in output
    assert (
        "left as they were: 1 tensors, 4096 weights of 32 bits (the largest is embed.we" in output
    )
    assert "together: 26.5 bits a weight" in output
    facts = json.loads(aios("quantize", "m.safetensors", "--bits", "4", "--overwrite", "--json"))
    assert (1, 4.5) == (facts["quantized"]["tensors"], facts["quantized"]["bits_per_weight"])
    assert "embed.weight" == facts["left"]["largest"]


def test_options_of_the_other_source_are_refused(aios, tmp_path):
    """Fault T8: an option that does not hold is a usage error, never ignored."""
    save_file({"a.weight": torch.randn(16, 64)}, tmp_path / "m.safetensors")

    output = aios("quantize", "m.safetensors", "--texts", "4", code=2)
    assert "--texts holds for the folder of a run alone, and m.safetensors is none" in output
    output = aios("quantize", "m.safetensors", "--set", "sampler.steps=4", code=2)
    assert (
        "--set sampler.steps=4: expected a key of quantizer, plugins, got sampler.steps" in output
    )
    output = aios("quantize", "m.safetensors", "--bits", "4", "--set", "quantizer.bits=3", code=2)
    assert "--bits and --set quantizer.bits=3 set the same; expected one of them" in output
    output = aios("quantize", "m.safetensors", "--exclude", "*qkv*", code=2)
    assert "--exclude '*qkv*' matches no tensor of m.safetensors; expected a pattern" in output


def test_rows_of_any_size_are_quantized(aios, tmp_path):
    """Fault T3: from the command line, through the file, and back."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(48, 256, generator=generator)
    for k in (0, 6, 12):
        save_file({"a.weight": weight * 10.0**-k}, tmp_path / "m.safetensors")
        for words in (("--bits", "8"), ("--bits-per-weight", "4.6"), ("--quantizer", "rtn")):
            aios("quantize", "m.safetensors", *words, "--output", "q.parquet", "--overwrite")
            aios(
                "weights", "convert", "q.parquet", "back.safetensors", "--dequantize", "--overwrite"
            )
            back = load_file(tmp_path / "back.safetensors")["a.weight"].double() * 10.0**k
            error = float((back - weight).square().sum() / weight.square().sum()) ** 0.5
            assert error < {"8": 0.01, "4.6": 0.1, "rtn": 0.1}[words[1]], (k, words, error)
