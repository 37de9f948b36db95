"""Our own quantizer."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from aios_core.contracts import Statistics
from aios_core.errors import QuantizationError
from aios_core.quantization.linear import QuantizedLinear
from aios_plugins.quantizers.arrow import Arrow
from aios_plugins.quantizers.rtn import Rtn
from aios_plugins.tensor_formats.parquet.loader import WeightLoader
from aios_plugins.tensor_formats.parquet.writer import WeightWriter


@pytest.fixture(scope="module")
def weight():
    return torch.randn(64, 512, generator=torch.Generator().manual_seed(0))


def error(quantizer, weight, statistics=None, x=None):
    """Relative squared error of the weight, or of the products with x."""
    wrong = quantizer.dequantize(quantizer.quantize(weight, statistics)) - weight
    x = torch.eye(weight.shape[1]) if x is None else x
    return float((x @ wrong.T).square().sum() / (x @ weight.T).square().sum())


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_searching_beats_rounding_to_nearest(weight, bits):
    nearest, fast, search = (
        error(quantizer, weight)
        for quantizer in (Rtn(bits=bits), Arrow(bits=bits, quality="fast"), Arrow(bits=bits))
    )

    assert pytest.approx(nearest, rel=0.1) == fast
    assert search < (0.95 if bits < 8 else 1.001) * fast


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("quality", ["fast", "search"])
def test_symmetric_groups_have_no_offsets(weight, bits, quality):
    """Which saves their bytes, and costs no more than with the reference."""
    both, scales = (
        Arrow(bits=bits, symmetric=symmetric, quality=quality) for symmetric in (False, True)
    )
    packed = scales.quantize(weight)

    assert ("asymmetric", "symmetric") == (both.quantize(weight).scheme, packed.scheme)
    assert both.quantize(weight).params.numel() == 2 * packed.params.numel() == 2 * 64 * 8 * 2
    assert bits + 16 / 64 == packed.bits_per_weight
    assert error(scales, weight) < 1.1 * error(Rtn(bits=bits, symmetric=True), weight)
    assert torch.equal(Arrow().dequantize(packed), scales.dequantize(packed))


@pytest.mark.parametrize("bits", [2, 4])
def test_calibration_lowers_the_error_of_the_output(weight, bits):
    generator = torch.Generator().manual_seed(1)
    mixing = torch.randn(512, 512, generator=generator) * torch.linspace(0.05, 2, 512)
    x = torch.randn(2000, 512, generator=generator) @ mixing
    statistics = Statistics(x.T @ x / len(x), len(x))
    other = torch.randn(500, 512, generator=generator) @ mixing
    search = error(Arrow(bits=bits), weight, x=other)

    assert error(Arrow(bits=bits), weight, statistics, other) < search
    assert error(Arrow(bits=bits, quality="calibrated"), weight, statistics, other) < 0.7 * search


@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("inputs", ["few", "alike", "outliers", "apart"])
def test_no_calibration_makes_it_worse(weight, inputs, bits):
    """Also where the inputs say little: then it is that of a search at worst."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(5 if inputs == "few" else 700, 512, generator=generator)
    if inputs == "alike":
        x = x[:, :4] @ torch.randn(4, 512, generator=generator)
    elif inputs == "outliers":
        x[:, :3] *= 100
    statistics = Statistics(x.T @ x / len(x), len(x))
    calibrated = error(Arrow(bits=bits, quality="calibrated"), weight, statistics, x)

    assert calibrated < error(Arrow(bits=bits), weight, x=x)


def test_calibration_needs_statistics(weight):
    with pytest.raises(QuantizationError, match="'calibrated' needs statistics"):
        Arrow(quality="calibrated").quantize(weight)
    assert Arrow(quality="calibrated").calibrated
    assert not Arrow().calibrated


@pytest.fixture(scope="module")
def easy():
    """Four values, which two bits hold exactly."""
    return torch.randint(-1, 3, (64, 512), generator=torch.Generator().manual_seed(2)).float()


def test_a_budget_goes_where_few_bits_would_cost_most(weight, easy):
    weights = {"easy": easy, "weight": weight}

    for budget in (2.7, 3.5, 5.5):
        quantizer = Arrow(bits_per_weight=budget)
        planned = quantizer.plan((name, w, None) for name, w in weights.items())
        made = [planned[name].quantize(w) for name, w in weights.items()]
        assert sum(each.bits_per_weight for each in made) <= 2 * budget
        assert planned["easy"].bits <= planned["weight"].bits
    assert [2, 8] == [planned[name].bits for name in weights]
    nothing = torch.empty(0, 512)
    with_nothing = quantizer.plan((n, w, None) for n, w in {**weights, "none": nothing}.items())
    assert planned == with_nothing
    assert {} == Arrow().plan([("weight", weight, None)])
    with pytest.raises(QuantizationError, match="1 bits a weight cannot be reached"):
        Arrow(bits_per_weight=1).plan([("weight", weight, None)])


def test_a_budget_looks_at_the_inputs_that_were_seen(weight, easy):
    half = torch.cat((easy[:, :256], weight[:, 256:]), 1)
    seen = Statistics(torch.diag((torch.arange(512) < 256).float()), 1)
    all_ = Statistics(torch.eye(512), 1)
    quantizer = Arrow(bits_per_weight=3.5)
    planned = quantizer.plan([("seen", half, seen), ("all", half, all_)])

    assert quantizer.calibrated
    assert [2, 4] == [planned[name].bits for name in ("seen", "all")]


def test_offsets_are_what_small_parameters_need():
    for wrong in ({"symmetric": True}, {"bits": 8}, {"group_size": 0}):
        with pytest.raises(ValueError, match="have f16 parameters alone"):
            Arrow(param_format="u4", **wrong)
    with pytest.raises(ValueError, match="expected u6 or u4"):
        Arrow(group_size=16)


@pytest.mark.parametrize("group_size", [0, 32, 128])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_products_are_those_of_the_dequantized_weight(weight, bits, group_size):
    x = torch.randn(9, 512)
    for activations, bound in (("float32", 1e-5), ("int8", 0.02)):
        quantizer = Arrow(bits=bits, group_size=group_size, quality="fast", activations=activations)
        packed = quantizer.quantize(weight)
        expected = x @ quantizer.dequantize(packed).T
        wrong = torch.linalg.vector_norm(quantizer.linear(x, packed) - expected)
        assert wrong <= bound * torch.linalg.vector_norm(expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_type_is_the_same_weight(weight, dtype):
    narrow = weight.to(dtype)
    first, second = Arrow().quantize(narrow), Arrow().quantize(narrow.float())

    assert torch.equal(first.codes, second.codes)
    assert str(dtype) == f"torch.{first.dtype}"


def test_a_mapped_file_computes_without_a_copy(tmp_path, weight):
    layer = nn.Linear(512, 64)
    packed = QuantizedLinear.quantize(layer, Arrow(param_format="u6", group_size=32))
    with WeightWriter(tmp_path / "m.parquet") as file:
        file.add("w", packed.tensor)
    mapped = QuantizedLinear(WeightLoader.open(tmp_path / "m.parquet")["w"], layer.bias)
    x = torch.randn(3, 512)

    assert torch.equal(packed(x), mapped(x))
    assert 0 == mapped.codes.data_ptr() % 64


def test_settings_of_the_product_go_with_the_layer(weight):
    layer, x = nn.Linear(512, 64), torch.randn(3, 512)
    exact = QuantizedLinear.quantize(layer, Arrow(activations="float32"))
    rounded = QuantizedLinear.quantize(layer, Arrow())

    assert_close(exact(x), x @ exact.weight.T + layer.bias)
    assert not torch.equal(exact(x), rounded(x))


def test_a_search_weighs_columns_by_the_square_of_their_inputs(weight):
    """That is the diagonal of the moment: by it the error of the outputs is least."""
    power = torch.logspace(-3, 3, 512)[torch.randperm(512, generator=torch.Generator())]

    def lost(importance):
        statistics = Statistics(importance.diag(), 100)
        quantizer = Arrow(bits=2)
        wrong = quantizer.dequantize(quantizer.quantize(weight, statistics)) - weight
        return float((wrong.square() * power).sum())

    right = lost(power)
    for other in (power.sqrt(), power.square(), torch.ones(512), power.flip(0)):
        assert right < lost(other)
