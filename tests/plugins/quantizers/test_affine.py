"""The layout `rows`, and the quantizers that write it."""

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aios_core.contracts import QuantizedTensor
from aios_core.errors import QuantizationError
from aios_core.quantization.affine import pack, unpack
from aios_core.testing import strategies
from aios_plugins.quantizers.arrow import Arrow
from aios_plugins.quantizers.hqq import Hqq
from aios_plugins.quantizers.rtn import Rtn
from aios_plugins.quantizers.torchao import TorchAo


@given(st.integers(1, 8), st.integers(0, 5), st.integers(0, 40), st.integers(0, 1 << 30))
def test_packing_is_a_bijection(bits, rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 2**bits, (rows, columns), generator=generator, dtype=torch.uint8)
    packed = pack(codes, bits)

    assert (rows, -(-columns * bits // 8)) == tuple(packed.shape)
    assert torch.equal(codes, unpack(packed, columns, bits))


def test_the_first_code_is_in_the_lowest_bits():
    assert [[0x21, 0x43]] == pack(torch.tensor([[1, 2, 3, 4]]), 4).tolist()
    assert [[0b11_010_001, 0b0000000_1]] == pack(torch.tensor([[1, 2, 7]]), 3).tolist()


@given(strategies.weights(), st.sampled_from([1, 2, 3, 4, 8]), st.sampled_from([0, 16, 64]))
def test_an_error_is_at_most_half_a_step(weight, bits, size):
    quantizer = Rtn(bits=bits, group_size=size)
    back = quantizer.dequantize(quantizer.quantize(weight))
    for start in range(0, weight.shape[1], size or max(weight.shape[1], 1)):
        group = weight[:, start : start + size if size else None].float()
        if not group.numel():
            continue
        reach = group.abs().amax(1)
        step = (group.amax(1) - group.amin(1)) / (2**bits - 1)
        # Parameters are float16: to a thousandth, and beside far larger groups to less.
        lost = 2**bits * 2**-37 * weight.float().abs().amax(1)
        bound = step / 2 + 2**-10 * reach + lost
        error = (back[:, start : start + group.shape[1]] - group).abs().amax(1)
        assert (error <= bound).all()


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 8])
def test_a_code_is_the_nearest_of_what_is_stored(bits, symmetric):
    """Of scale and offset as float16 has them, which far from zero are rounded coarsely."""
    weight = 100 + torch.rand(5, 48, generator=torch.Generator().manual_seed(0))
    weight[2:] = -weight[2:]
    quantizer = Rtn(bits=bits, group_size=16, symmetric=symmetric)
    packed = quantizer.quantize(weight)
    params = packed.params.view(torch.float16).float().view(-1, 5, 3, 1, 1)
    offset = -params[0] * 2 ** (bits - 1) if symmetric else params[1]
    steps = (params[0] * torch.arange(2.0**bits) + offset).expand(5, 3, 16, -1)
    nearest = (steps - weight.view(5, 3, 16, 1)).abs().amin(-1)

    assert "f16" == packed.param_fmt
    result = (quantizer.dequantize(packed) - weight).abs().view(5, 3, 16)
    torch.testing.assert_close(nearest, result, rtol=0, atol=2e-5)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_extreme_of_a_symmetric_group_is_exact(bits):
    weight = torch.tensor([[0.5, -0.25, 0.125, 0.0], [-2.0, 0.5, 1.0, -1.0]])
    quantizer = Rtn(bits=bits, group_size=4, symmetric=True)
    back = quantizer.dequantize(quantizer.quantize(weight))

    assert "symmetric" == quantizer.quantize(weight).scheme
    assert weight[0, 0] == back[0, 0]
    assert weight[1, 0] == back[1, 0]
    assert 0 == back[0, 3]


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("symmetric", [False, True])
def test_codes_do_not_depend_on_the_size_of_a_row(bits, symmetric):
    """Fault T3: a product with a power of two is exact, so only the exponents differ."""
    weight = torch.randn(9, 70, generator=torch.Generator().manual_seed(0))
    powers = torch.tensor([0, -100, -60, -24, -14, -3, 5, 17, 100])[:, None]
    quantizer = Rtn(bits=bits, group_size=32, symmetric=symmetric)
    plain, sized = (quantizer.quantize(w) for w in (weight, torch.ldexp(weight, powers)))

    assert torch.equal(plain.codes, sized.codes)
    assert ("f16", "f16+e8") == (plain.param_fmt, sized.param_fmt)
    assert len(plain.params) + 9 == len(sized.params)
    expected = torch.ldexp(quantizer.dequantize(plain), powers)
    assert torch.equal(expected, quantizer.dequantize(sized))


@pytest.mark.parametrize(
    ("value", "stored"), [(1e-30, "f16+e8"), (3e-7, "f16+e8"), (7e-5, "f16"), (0.3, "f16")]
)
def test_groups_of_one_value_keep_it(value, stored):
    """Fault T3: their scale is 0, so a float16 offset alone must hold the value, or an exponent."""
    weight = torch.full((2, 96), -value)
    weight[1] = 0
    packed = Rtn().quantize(weight)

    assert stored == packed.param_fmt
    torch.testing.assert_close(weight, Rtn().dequantize(packed), rtol=2**-11, atol=0)


def test_double_precision_is_kept_or_refused():
    """Fault T3: what float32 does not hold is named by its row, not made zero."""
    weight = torch.randn(3, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for quantizer in (Rtn(), Arrow()):
        weight[1] = 0
        assert not quantizer.dequantize(quantizer.quantize(weight))[1].any()
        weight[1] = 1e-60
        with pytest.raises(QuantizationError, match="row 1 has no weight larger than 1e-60"):
            quantizer.quantize(weight)
        weight[1, 7] = 1e60
        with pytest.raises(QuantizationError, match=r"row 1, column 7 is 1e\+60; expected finite"):
            quantizer.quantize(weight)


@pytest.mark.parametrize(
    ("offsets", "powers", "right"),
    [
        ([-1, 3, 3, 0], [], [[-0.5, 0, 0.5, 11], [13, 3, 13, 6]]),
        ([], [], [[-3.5, -3, -2.5, -8], [-6, -16, -6, -2]]),
        ([-1, 3, 3, 0], [3, -1], [[-4, 0, 4, 88], [6.5, 1.5, 6.5, 3]]),
    ],
)
def test_a_stored_matrix_means_the_same_in_every_version(offsets, powers, right):
    """Written out: low bits first, all scales before all offsets, and then a byte a row."""
    halves = torch.tensor([0.5, 2, 2, 1, *offsets], dtype=torch.float16).view(torch.uint8)
    exponents = torch.tensor(powers, dtype=torch.int8).view(torch.uint8)
    packed = QuantizedTensor(
        codes=torch.tensor([0x21, 0x43, 0x05, 0x65], dtype=torch.uint8),
        params=torch.cat((halves, exponents)),
        shape=(2, 4),
        dtype="float32",
        bits=4,
        group_size=3,
        scheme="asymmetric" if offsets else "symmetric",
        method="rtn",
        layout="rows",
        param_fmt="f16+e8" if powers else "f16",
    )

    assert right == Rtn().dequantize(packed).tolist()


@pytest.mark.parametrize(
    "wrong", [{"bits": 0}, {"bits": 9}, {"group_size": -1}, {"group_size": 2**20 + 1}]
)
def test_settings_have_bounds(wrong):
    Rtn(bits=1, group_size=2**20)
    Rtn(bits=8, group_size=0)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Rtn(**wrong)


@pytest.mark.parametrize("bits", [0, 9])
def test_a_file_has_no_other_widths(bits):
    packed = Rtn(bits=8).quantize(torch.ones(8, 8))
    wrong = attrs.evolve(packed, bits=bits, codes=torch.zeros(8 * bits, dtype=torch.uint8))

    with pytest.raises(QuantizationError, match=f"{bits} bits of shape"):
        Rtn().dequantize(wrong)


@pytest.mark.parametrize("quantizer", [Rtn(), Rtn(symmetric=True), Arrow()], ids=repr)
def test_the_largest_weights_are_kept_and_larger_ones_named(quantizer):
    weight = torch.ones(2, 64)
    weight[1, 5] = -(2.0**126)
    back = quantizer.dequantize(quantizer.quantize(weight))

    assert back.isfinite().all()
    assert pytest.approx(-(2.0**126), rel=0.01) == float(back[1, 5])
    weight[1, 5] *= 1 + 2**-20
    with pytest.raises(QuantizationError, match=r"row 1, column 5 is -8\.507"):
        quantizer.quantize(weight)


def test_an_offset_far_beyond_the_weights_is_named():
    class Off(Rtn):
        def fit(self, groups, statistics):
            result = super().fit(groups, statistics)
            result.offset[2, 0] = 1e9
            return result

    with pytest.raises(QuantizationError, match="row 2: a scale or an offset is 1e"):
        Off().quantize(torch.ones(4, 8))


def test_exponents_are_bytes_behind_the_parameters():
    packed = Rtn().quantize(torch.full((3, 8), 1e-12))
    for wrong in (packed.params[:-1], packed.params[:-3]):
        with pytest.raises(QuantizationError, match=r"take .* got"):
            Rtn().dequantize(attrs.evolve(packed, params=wrong))
    with pytest.raises(QuantizationError, match=r"in f16 or f16\+e8, got .* 'f16\+e9'; a newer"):
        Rtn().dequantize(attrs.evolve(packed, param_fmt="f16+e9"))


def test_a_group_wider_than_its_row_is_the_row():
    weight = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    wide, row = (Rtn(group_size=size).quantize(weight) for size in (1 << 20, 0))

    assert torch.equal(row.params, wide.params)
    assert torch.equal(Rtn().dequantize(row), Rtn().dequantize(wide))


@pytest.mark.parametrize(("cls", "module"), [(Hqq, "hqq"), (TorchAo, "torchao")])
@pytest.mark.filterwarnings("ignore")
def test_libraries_quantize_as_well_as_the_reference(cls, module):
    pytest.importorskip(f"{module}.{'core.quantize' if module == 'hqq' else 'quantization'}")
    weight = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    for bits in (2, 4, 8):
        errors = [
            float((each.dequantize(each.quantize(weight)) - weight).square().mean())
            for each in (cls(bits=bits), Rtn(bits=bits))
        ]
        assert errors[0] < 1.3 * errors[1]
