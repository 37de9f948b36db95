"""Which tensors of a file are quantized, how, and what comes back."""

from pathlib import Path

import pytest
import torch

from aios_core.contracts import QuantizedTensor, TensorSource
from aios_core.errors import QuantizationError
from aios_plugins.commands._tensors import dequantized, quantized
from aios_plugins.quantizers.rtn import Rtn


def source(tensors, tied=None):
    return TensorSource(Path("m"), tuple(tensors), tensors.__getitem__, {}, {}, tied or {})


@pytest.fixture
def tensors():
    matrix = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    floating = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    taken = {f"{str(dtype)[6:]}.weight": matrix.to(dtype) for dtype in floating}
    kept = {
        "layer.bias": matrix,
        "layer.weight_scale": matrix,
        "conv.weight": matrix[None],
        "scale.weight": matrix[0],
        "ids.weight": matrix.long(),
        "small.weight": matrix.to(torch.float8_e4m3fn),
        "packed.weight": Rtn(bits=8).quantize(matrix),
        **{f"{name}.weight": matrix for name in ("wte", "wpe", "tok_embeddings", "a.norm.b")},
        "model.lm_head.weight": matrix,
    }
    return taken, kept


def test_matrices_of_linear_layers_alone_are_quantized(tensors):
    """Of any floating type that is wide; by their names, those of embeddings and norms are not."""
    taken, kept = tensors
    result = quantized(source(taken | kept), Rtn(bits=3))
    back = dequantized(result)

    for name, tensor in kept.items():
        assert result.get(name) is tensor
    for name, tensor in taken.items():
        assert (3, "rtn") == (result.get(name).bits, result.get(name).method)
        expected = Rtn().dequantize(Rtn(bits=3).quantize(tensor)).to(tensor.dtype)
        assert (tensor.dtype, True) == (back.get(name).dtype, torch.equal(expected, back.get(name)))
    assert torch.float32 == back.get("packed.weight").dtype
    assert back.get("conv.weight") is kept["conv.weight"]


def test_patterns_and_plans_are_by_name(tensors):
    """What is excluded is not looked at; what a plan does not name has the quantizer's own bits."""
    seen, measured = [], []

    class Planned(Rtn):
        def plan(self, weights):
            seen.extend(name for name, _, statistics in weights if statistics is None)
            return {"float16.weight": Planned(bits=2)}

    taken, kept = tensors
    exclude = ("float64*", "*.bias", "FLOAT32*")
    result = quantized(source(taken | kept), Planned(bits=8), exclude, measured.append)
    bits = {
        name: tensor.bits
        for name in (*taken, "wte.weight", "model.lm_head.weight")
        if isinstance(tensor := result.get(name), QuantizedTensor)
    }

    own = {"float32.weight": 8, "float16.weight": 2, "bfloat16.weight": 8}
    assert {**own, "wte.weight": 8, "model.lm_head.weight": 8} == bits
    assert {*own, *(n for n in kept if n.startswith(("w", "tok", "a.", "model")))} == {*seen}
    assert seen == measured


def test_a_matrix_that_cannot_be_quantized_is_named():
    bad = torch.ones(2, 3)
    bad[1, 2] = torch.inf
    with pytest.raises(QuantizationError, match=r"m: bad\.weight: row 1, column 2 is inf"):
        quantized(source({"bad.weight": bad}), Rtn()).get("bad.weight")
    packed = Rtn().quantize(torch.ones(2, 3))
    broken = QuantizedTensor(
        packed.codes[:-1], packed.params, (2, 3), "float32", 4, 64, "asymmetric", "rtn", "rows",
        "f16",
    )  # fmt: skip
    with pytest.raises(QuantizationError, match=r"m: bad\.weight: 4 bits of shape"):
        dequantized(source({"bad.weight": broken})).get("bad.weight")
