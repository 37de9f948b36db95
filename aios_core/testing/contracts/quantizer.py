"""What every quantizer must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch.testing import assert_close

from aios_core.contracts import Statistics
from aios_core.errors import QuantizationError
from aios_core.quantization.damage import damage
from aios_core.testing import strategies
from aios_core.testing.contracts.base import Contract

if TYPE_CHECKING:
    from aios_core.contracts import QuantizedTensor, Quantizer

ROUNDING = 0.02
"""Relative error that a product may have besides that of the weights: x in 8 bits has .01."""


class QuantizerContract(Contract["Quantizer"]):
    """Subclass it and set ``component``: a quantizer's class, or one that is built."""

    varied: ClassVar = {
        "test_the_same_weight_gives_the_same_bits": {},
        "test_error_is_that_of_few_bits": {},
        "test_zeros_stay_zeros": {},
        "test_product_is_that_with_the_dequantized_weight": {
            "batch": (7,),
            "dtype": torch.float32,
        },
        "test_defaults_read_what_others_wrote": {},
    }

    @classmethod
    def try_out(cls, plugin: Quantizer) -> None:
        """Some need a library."""
        plugin.quantize(torch.ones(1, 1))

    # A quantizer is frozen, so all examples may share one; and each component has its own class.
    @settings(
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    @given(weight=strategies.weights())
    def test_any_weight_comes_back(self, instance: Quantizer, weight: torch.Tensor) -> None:
        """In its shape, finite, and no further away than the weights of its row are apart."""
        before = weight.clone()
        packed = instance.quantize(weight)
        assert torch.equal(before, weight), "the weight was changed"
        assert tuple(weight.shape) == packed.shape
        assert str(weight.dtype) == f"torch.{packed.dtype}"
        assert (1, torch.uint8) == (packed.codes.ndim, packed.codes.dtype)
        assert (1, torch.uint8) == (packed.params.ndim, packed.params.dtype)
        assert 0 < packed.bits <= max(8, 8 * weight.element_size())
        back = instance.dequantize(packed)
        assert (tuple(weight.shape), torch.float32) == (tuple(back.shape), back.dtype)
        assert back.isfinite().all()
        if weight.numel():
            reach = weight.float().abs().amax(1, keepdim=True)
            assert ((back - weight.float()).abs() <= 2.01 * reach + 1e-6).all()

    def test_the_same_weight_gives_the_same_bits(self, instance: Quantizer) -> None:
        """Twice, and from an equal quantizer."""
        weight = _gaussian(16, 96)
        packed = instance.quantize(weight)
        for other in (instance, attrs.evolve(instance)):  # type: ignore[misc]
            again = other.quantize(weight)
            assert torch.equal(packed.codes, again.codes)
            assert torch.equal(packed.params, again.params)

    def test_error_is_that_of_few_bits(self, instance: Quantizer) -> None:
        """At most that of rounding to nearest with the worst of scales, and the size is given."""
        weight = _gaussian(64, 512)
        packed = instance.quantize(weight)
        error = (instance.dequantize(packed) - weight).square().mean()
        step = 6 / (2 ** min(packed.bits, 16) - 1)
        assert error <= step**2 / 3 + 1e-7
        assert packed.bits <= packed.bits_per_weight
        assert 8 * packed.nbytes == packed.bits_per_weight * weight.numel()

    def test_zeros_stay_zeros(self, instance: Quantizer) -> None:
        """A layer that is switched off stays so."""
        back = instance.dequantize(instance.quantize(torch.zeros(5, 70)))
        assert (back == 0).all()

    @pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
    def test_what_is_not_finite_is_refused(self, instance: Quantizer, value: float) -> None:
        """By row and column."""
        weight = _gaussian(4, 70)
        weight[2, 65] = value
        with pytest.raises(QuantizationError, match="row 2, column 65"):
            instance.quantize(weight)

    @pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
    def test_what_is_no_matrix_is_refused(
        self, instance: Quantizer, shape: tuple[int, ...]
    ) -> None:
        """By its shape."""
        with pytest.raises(QuantizationError, match="matrix"):
            instance.quantize(torch.ones(shape))

    @pytest.mark.parametrize("batch", [(), (1,), (7,), (2, 3), (0,)])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_product_is_that_with_the_dequantized_weight(
        self, instance: Quantizer, batch: tuple[int, ...], dtype: torch.dtype
    ) -> None:
        """For any batch, in the type of x."""
        packed = instance.quantize(_gaussian(24, 130))
        x = torch.randn(*batch, 130, generator=torch.Generator().manual_seed(1)).to(dtype)
        y = instance.linear(x, packed)
        assert ((*batch, 24), dtype) == (tuple(y.shape), y.dtype)
        expected = x.double() @ instance.dequantize(packed).double().T
        error = torch.linalg.vector_norm(y.double() - expected)
        assert error <= ROUNDING * torch.linalg.vector_norm(expected)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    @pytest.mark.parametrize("factor", [1e-30, 1e-8, 1e-6, 1e-5, 1e-4, 1e-2, 1e3, 1e30])
    def test_weights_of_any_size_lose_as_much(
        self, instance: Quantizer, factor: float, dtype: torch.dtype
    ) -> None:
        """Fault T3: in weights and in products, or the row that cannot be kept is named."""
        weight = _gaussian(24, 130)
        if dtype == torch.float16 and not 1e-3 < factor < 1e4:
            return  # it would lose digits before it is quantized
        scaled = (weight * factor).to(dtype)
        same = scaled.float() / factor
        packed = _kept(instance, scaled)
        if packed is None:
            return
        expected = _lost(instance, same, instance.quantize(same))
        lost = _lost(instance, scaled, packed)
        assert abs(lost - expected) <= 0.1 * expected + 1e-12, (
            f"at {factor} times the weights the relative error is {lost}, expected {expected}"
        )
        x = torch.randn(7, 130, generator=torch.Generator().manual_seed(1))
        y = x.double() @ instance.dequantize(packed).double().T
        for own in (x, x.to(dtype)):
            error = torch.linalg.vector_norm(instance.linear(own, packed).double() - y)
            assert error <= 2 * ROUNDING * torch.linalg.vector_norm(y)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_meets_small_weights(
        self, instance: Quantizer, dtype: torch.dtype
    ) -> None:
        """Fault T3: a product is in the type of x; the weights need not be."""
        packed = _kept(instance, _gaussian(24, 130) * 1e-7)
        if packed is None:
            return
        x = (20 * torch.randn(7, 130, generator=torch.Generator().manual_seed(1))).to(dtype)
        expected = x.double() @ instance.dequantize(packed).double().T
        error = torch.linalg.vector_norm(instance.linear(x, packed).double() - expected)
        assert error <= 2 * ROUNDING * torch.linalg.vector_norm(expected)

    def test_a_row_does_not_spoil_another(self, instance: Quantizer) -> None:
        """Fault T3: rows of one weight may differ by any factor; each loses as much as alone."""
        weight = _gaussian(12, 130)
        powers = torch.arange(-60, 60, 10)[:, None]
        scaled = torch.ldexp(weight, powers)
        packed = _kept(instance, scaled)
        if packed is None:
            return
        back = torch.ldexp(instance.dequantize(packed).double(), -powers)
        expected = instance.dequantize(instance.quantize(weight)).double()
        error, most = ((rounded - weight).square().sum(1) for rounded in (back, expected))
        assert ((error - most).abs() <= 0.1 * most + 1e-12).all(), (
            f"squared errors of the rows are {error.tolist()}, expected {most.tolist()}"
        )

    def test_a_calibration_does_no_harm(self, instance: Quantizer) -> None:
        """With statistics of a layer's inputs, no more of its outputs is lost than without."""
        weight = _gaussian(24, 130)
        generator = torch.Generator().manual_seed(2)
        mixing = torch.randn(130, 130, generator=generator) * torch.linspace(0.05, 2, 130)
        x = torch.randn(400, 130, generator=generator) @ mixing
        seen = Statistics(x.T @ x / len(x), len(x))
        nothing = Statistics(torch.eye(130), len(x))
        plain, calibrated = (
            damage(weight, instance.dequantize(instance.quantize(weight, statistics)), seen)
            for statistics in (nothing, seen)
        )
        assert calibrated <= 1.05 * plain + 1e-12, (
            f"{calibrated:.3g} of the outputs is lost with statistics, {plain:.3g} without"
        )

    def test_defaults_read_what_others_wrote(self, instance: Quantizer) -> None:
        """What is packed says itself how it is read."""
        packed = instance.quantize(_gaussian(8, 64))
        reader = type(instance)()
        assert_close(reader.dequantize(packed), instance.dequantize(packed), rtol=0, atol=0)

    @pytest.mark.parametrize("part", ["codes", "params"])
    def test_damaged_tensors_are_refused(self, instance: Quantizer, part: str) -> None:
        """A byte too few, a byte too many, another layout."""
        packed = instance.quantize(_gaussian(8, 64))
        data = getattr(packed, part)
        for wrong in (data[:-1], torch.cat((data, data[:1]))):
            if len(wrong) != len(data):  # parameters may be none at all
                change: dict[str, Any] = {part: wrong}
                damaged: QuantizedTensor = attrs.evolve(packed, **change)
                with pytest.raises(QuantizationError):
                    instance.dequantize(damaged)
        with pytest.raises(QuantizationError):
            instance.dequantize(attrs.evolve(packed, layout="no such layout"))


def _kept(quantizer: Quantizer, weight: torch.Tensor) -> QuantizedTensor | None:
    """A quantized weight; None where it is refused, in words that name the row."""
    try:
        return quantizer.quantize(weight)
    except QuantizationError as error:
        reason = str(error)
    assert "row" in reason, f"expected the row that cannot be kept, got {reason!r}"
    return None


def _lost(quantizer: Quantizer, weight: torch.Tensor, packed: QuantizedTensor) -> float:
    """Squared error over squared norm."""
    weight = weight.double()
    error = quantizer.dequantize(packed).double() - weight
    return float(error.square().sum() / weight.square().sum())


def _gaussian(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))
