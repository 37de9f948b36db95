"""The operator, the module, and models made of it."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from aios_core.contracts import QuantizedTensor
from aios_core.errors import QuantizationError
from aios_core.quantization.linear import (
    QuantizedLinear,
    Size,
    linears,
    named_weights,
    quantize_model,
)
from aios_plugins.quantizers.none import Keep
from aios_plugins.quantizers.rtn import Rtn


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Linear(70, 24)


@pytest.fixture
def packed(layer):
    return QuantizedLinear.quantize(layer, Rtn(bits=4, group_size=32))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 16)
        self.inner = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16, bias=False))
        self.out = nn.Linear(16, 11, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, x):
        return self.out(self.inner(self.embedding(x)))


def test_the_layer_computes_with_the_dequantized_weight(layer, packed):
    x = torch.randn(3, 5, 70)

    assert_close(packed(x), x @ packed.weight.T + layer.bias)
    assert (packed.weight - layer.weight).abs().max() < 0.02
    assert "70, 24, bias=True, rtn int4 g32" in repr(packed)
    assert (2, 0, 24) == packed(torch.ones(2, 0, 70)).shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no card")
def test_on_a_card_it_computes_what_it_does_on_the_processor(packed):
    x = torch.randn(3, 70)
    expected = packed(x)

    assert_close(expected, copy.deepcopy(packed).cuda()(x.cuda()).cpu())
    assert "cuda" == copy.deepcopy(packed).cuda().weight.device.type


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of torch's own check
def test_the_operator_keeps_the_rules_of_torch(packed):
    x = torch.randn(3, 70, requires_grad=True)
    arguments = (x, packed.codes, packed.params, 24, packed.packing)

    torch.library.opcheck(torch.ops.aios.quantized_linear.default, arguments)


def test_gradients_reach_input_and_bias(packed):
    x = torch.randn(3, 70, requires_grad=True)
    packed(x).square().sum().backward()
    y = packed(x.detach())

    assert_close(x.grad, 2 * y @ packed.weight)
    assert_close(packed.bias.grad, (2 * y).sum(0))
    assert {"bias"} == {name for name, _ in packed.named_parameters()}


@pytest.mark.slow
def test_it_is_compiled_and_exported_as_one_node(packed):
    x = torch.randn(3, 70)
    program = torch.export.export(packed, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    nodes = [n for n in program.graph.nodes if n.target is torch.ops.aios.quantized_linear.default]
    compiled = torch.compile(packed, fullgraph=True, backend="aot_eager")

    assert 1 == len(nodes)
    for batch in (3, 8):
        x = torch.randn(batch, 70)
        assert_close(program.module()(x), packed(x))
        assert_close(compiled(x), packed(x))


def test_x_must_fit(packed):
    with pytest.raises(QuantizationError, match="expected x of 70 columns"):
        packed(torch.ones(3, 71))


def test_a_state_is_restored(layer, packed):
    other = QuantizedLinear.quantize(nn.Linear(70, 24), Rtn(bits=4, group_size=32))
    other.load_state_dict(packed.state_dict(), strict=True)
    x = torch.randn(2, 70)

    assert torch.equal(packed(x), other(x))
    assert torch.equal(packed(x), copy.deepcopy(packed)(x))


def test_nothing_reads_an_unknown_method(packed):
    tensor = packed.tensor
    words = {w: getattr(tensor, w) for w in ("shape", "dtype", "bits", "group_size", "scheme")}
    foreign = QuantizedTensor(
        tensor.codes, tensor.params, **words, method="magic", layout="x", param_fmt="y"
    )

    with pytest.raises(QuantizationError, match="nothing reads what 'magic' wrote"):
        QuantizedLinear(foreign)(torch.ones(1, 70))


def test_a_model_changes_but_for_what_is_tied():
    torch.manual_seed(0)
    model = Tied().eval()
    x, names = torch.arange(11)[None], []
    before, size = model(x), Size.of(model)
    assert ["inner.0", "inner.2"] == list(linears(model))
    quantize_model(model, Rtn(bits=8), on_progress=names.append)

    assert ["inner.0", "inner.2"] == names
    assert type(model.out) is nn.Linear
    assert not any(module.training for module in model.modules())
    assert_close(model(x), before, rtol=0.02, atol=0.02)
    after = Size.of(model)
    assert size.weights == after.weights == 11 * 16 + 2 * 16 * 32 + 32
    assert 32 == size.bits_per_weight
    bits = (1024 * 8 + 16 * (32 + 16) * 2 + 32 * (11 * 16 + 32)) / size.weights
    assert pytest.approx(bits) == after.bits_per_weight


def test_what_is_excluded_stays_and_each_layer_has_its_own_plan():
    """By the name of its weight; statistics and widths go to the layer that they are of."""
    seen = {}

    class Planned(Rtn):
        def plan(self, weights):
            asked = {name: (tuple(w.shape), s) for name, w, s in weights}
            assert {"inner.0": ((32, 16), "first"), "inner.2": ((16, 32), None)} == asked
            return {"inner.2": Planned(bits=2)}

        def quantize(self, weight, statistics=None):
            seen[tuple(weight.shape)] = (self.bits, statistics)
            return super().quantize(weight, statistics)

    model, measured = Tied(), []
    quantize_model(
        model, Planned(bits=8), statistics={"inner.0": "first"}, measured=measured.append
    )

    assert {(32, 16): (8, "first"), (16, 32): (2, None)} == seen
    assert ["inner.0", "inner.2"] == measured
    assert ["inner.2"] == list(linears(Tied(), ["inner.0.weight"]))
    assert ["inner.0"] == list(linears(Tied(), ["*.2.*"]))
    assert ["inner.0", "inner.2"] == list(linears(Tied(), ["inner.0", "0.weight"]))


def test_weights_keep_their_names():
    model = Tied()
    before = {name for name, _ in model.named_parameters()} | {"steps"}
    model.register_buffer("steps", torch.zeros(1))
    model.inner.register_buffer("cache", torch.zeros(9), persistent=False)
    quantize_model(model, Rtn())
    result = dict(named_weights(model))

    assert before == set(result)
    assert {"inner.0.weight", "inner.2.weight"} == {
        name for name, tensor in result.items() if isinstance(tensor, QuantizedTensor)
    }


def test_none_leaves_a_model_alone():
    model = Tied()
    quantize_model(model, Keep())

    assert not any(isinstance(module, QuantizedLinear) for module in model.modules())


def test_a_weight_that_cannot_be_quantized_is_named():
    model = Tied()
    with torch.no_grad():
        model.inner[2].weight[1, 3] = torch.nan

    with pytest.raises(QuantizationError, match=r"inner\.2: row 1, column 3 is nan"):
        quantize_model(model, Rtn())
