"""The quantizer from Python: arrays go in and come out, and what is wrong is said."""

import copy
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_plugins._native.arrow_quant import (
    ArrowQuantError,
    QuantizedMatrix,
    instruction_sets,
    plan,
)

SCHEMES = [
    {"bits": 4, "group_size": 64, "symmetric": False, "param_format": "f16"},
    {"bits": 3, "group_size": 32, "symmetric": False, "param_format": "u4"},
    {"bits": 2, "group_size": 16, "symmetric": False, "param_format": "u6"},
    {"bits": 8, "group_size": -1, "symmetric": True, "param_format": "f16"},
]


def gaussian(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


@pytest.fixture(params=SCHEMES, ids=lambda s: f"{s['bits']}-{s['group_size']}-{s['param_format']}")
def scheme(request):
    return request.param


def test_products_are_those_of_the_dequantized_weight(scheme):
    weight, x = gaussian(50, 200), gaussian(7, 200)
    matrix = QuantizedMatrix.quantize(weight, **scheme)
    expected = x @ matrix.dequantize().T

    np.testing.assert_allclose(expected, matrix.linear(x, activations="float32"), atol=1e-4)
    np.testing.assert_allclose(expected, matrix.linear(x), atol=1)
    assert scheme == {key: getattr(matrix, key) for key in scheme}
    assert (50, 200) == matrix.shape


@pytest.mark.parametrize("instructions", instruction_sets())
def test_products_are_the_same_with_all_instructions(scheme, instructions):
    matrix, x = QuantizedMatrix.quantize(gaussian(50, 200), **scheme), gaussian(13, 200)
    expected = matrix.linear(x, instructions="portable")

    np.testing.assert_allclose(expected, matrix.linear(x, instructions=instructions), atol=1e-3)


def test_out_is_written_and_returned():
    matrix = QuantizedMatrix.quantize(gaussian(50, 200))
    out = np.empty((3, 50), np.float32)

    assert out is matrix.linear(gaussian(3, 200), out=out)
    np.testing.assert_array_equal(matrix.linear(gaussian(3, 200), threads=2), out)


def test_packed_bytes_are_borrowed_at_any_alignment(scheme):
    matrix = QuantizedMatrix.quantize(gaussian(50, 200), **scheme)
    codes, params = matrix.codes, matrix.params
    file = bytearray(b"-" + codes.tobytes() + b"-" + params.tobytes())
    view = memoryview(file)
    again = QuantizedMatrix.from_buffers(
        view[1 : 1 + codes.size], view[2 + codes.size :], shape=matrix.shape, **scheme
    )

    np.testing.assert_array_equal(matrix.dequantize(), again.dequantize())
    np.testing.assert_array_equal(matrix.linear(gaussian(2, 200)), again.linear(gaussian(2, 200)))
    with pytest.raises(BufferError):
        file.clear()
    assert matrix.nbytes == again.nbytes == codes.size + params.size
    assert matrix.bits_per_weight == 8 * matrix.nbytes / (50 * 200)


def test_views_keep_the_matrix_alive_and_cannot_be_written():
    codes = QuantizedMatrix.quantize(gaussian(50, 200)).codes
    expected = QuantizedMatrix.quantize(gaussian(50, 200)).codes.copy()

    np.testing.assert_array_equal(expected, codes)
    with pytest.raises(ValueError, match="read-only"):
        codes[0] = 1


def test_it_pickles_by_content(scheme):
    matrix = QuantizedMatrix.quantize(gaussian(50, 200), **scheme)
    for again in (pickle.loads(pickle.dumps(matrix)), copy.deepcopy(matrix)):
        np.testing.assert_array_equal(matrix.codes, again.codes)
        np.testing.assert_array_equal(matrix.params, again.params)
        assert scheme == {key: getattr(again, key) for key in scheme}


def test_half_precision_is_taken():
    weight = gaussian(50, 200)
    f16, bf16 = weight.astype(np.float16), (weight.view(np.uint32) >> 16).astype(np.uint16)
    widened = {
        "f16": (f16, f16.astype(np.float32)),
        "bf16": (bf16, (bf16.astype(np.uint32) << 16).view(np.float32)),
    }
    for narrow, wide in widened.values():
        codes = [QuantizedMatrix.quantize(w).codes for w in (narrow, wide)]

        np.testing.assert_array_equal(*codes)


def test_importance_moves_error_to_where_it_is_cheap():
    weight, importance = gaussian(64, 256), np.ones(256, np.float32)
    importance[::4] = 100
    settings = {"bits": 2, "group_size": 16, "param_format": "u4"}
    plain = QuantizedMatrix.quantize(weight, **settings)
    weighed = QuantizedMatrix.quantize(weight, importance=importance, **settings)
    before, after = (m.relative_error(weight, importance=importance) for m in (plain, weighed))

    assert after < 0.8 * before
    assert plain.relative_error(weight) < weighed.relative_error(weight)


@pytest.mark.parametrize("bits", [2, 4])
def test_calibration_divides_the_error_of_outputs(bits):
    random = np.random.default_rng(1)
    mix = random.standard_normal((256, 256)) * np.geomspace(1, 0.01, 256)
    x = (random.standard_normal((2000, 256)) @ mix).astype(np.float32)
    weight = gaussian(64, 256)
    hessian = (x.T @ x).astype(np.float64)
    settings = {"bits": bits, "group_size": 32, "param_format": "u6"}
    plain = QuantizedMatrix.quantize(weight, **settings)
    calibrated = QuantizedMatrix.quantize(weight, quality="calibrated", hessian=hessian, **settings)
    losses = [np.square(x @ (m.dequantize() - weight).T).mean() for m in (plain, calibrated)]

    assert losses[1] < 0.6 * losses[0]
    assert plain.relative_error(weight) < calibrated.relative_error(weight)


@pytest.mark.parametrize(
    ("hessian", "message"),
    [
        (np.eye(5), "has 25 values; expected 36"),
        (np.full((6, 6), np.nan), "position 0: .*got NaN"),
        (-np.eye(6), "not negative"),
        (np.eye(6) - 1 + np.eye(6), "without negative eigenvalues"),
    ],
)
def test_a_hessian_that_is_none_is_refused(hessian, message):
    with pytest.raises(ArrowQuantError, match=message):
        QuantizedMatrix.quantize(gaussian(5, 6), quality="calibrated", hessian=hessian)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: QuantizedMatrix.quantize(gaussian(5, 6), bits=5), "expected 2, 3, 4 or 8"),
        (lambda: QuantizedMatrix.quantize(gaussian(5, 6), group_size=48), "expected 32, 64, 128"),
        (lambda: QuantizedMatrix.quantize(gaussian(5, 6), group_size=-2), "expected 32, 64, 128"),
        (lambda: QuantizedMatrix.quantize(gaussian(5, 6), quality="best"), 'expected "fast"'),
        (lambda: QuantizedMatrix.quantize(gaussian(5, 6), param_format="i4"), '"u6", "u4"'),
        (lambda: QuantizedMatrix.quantize(gaussian(5, 6).T), "C-contiguous"),
        (lambda: QuantizedMatrix.quantize(gaussian(5)), "expected a matrix of float32"),
        (lambda: QuantizedMatrix.quantize(gaussian(5, 6) / 0), "row 0, column 0"),
        (lambda: QuantizedMatrix.quantize(gaussian(5, 6)).linear(gaussian(2, 5)), "weight's 6"),
        (
            lambda: QuantizedMatrix.quantize(gaussian(5, 6)).linear(
                gaussian(2, 6), instructions="x"
            ),
            'instructions: expected one of "portable"',
        ),
    ],
)
def test_what_is_wrong_is_said(call, message):
    with np.errstate(divide="ignore"), pytest.raises(ArrowQuantError, match=message):
        call()


def test_other_threads_run_meanwhile():
    matrix = QuantizedMatrix.quantize(gaussian(512, 512), threads=1)
    x = gaussian(20_000, 512)  # long enough for start() to return
    done = threading.Event()
    thread = threading.Thread(target=lambda: (matrix.linear(x, threads=1), done.set()))
    thread.start()
    count = 0
    while not done.is_set():
        count += 1
    thread.join()

    assert count > 0


def test_a_plan_spends_where_it_saves_most():
    bits, damage = [[2.5, 4.5]] * 3, [[1.0, 0.1], [9.0, 0.2], [2.0, 0.1]]

    assert [0, 1, 0] == plan([100, 100, 100], bits, damage, budget=3.2)
    assert [1, 1, 1] == plan([100, 100, 100], bits, damage, budget=4.5)
    with pytest.raises(ArrowQuantError, match=r"2\.5"):
        plan([100], bits[:1], damage[:1], budget=2.4)
    with pytest.raises(ArrowQuantError, match="as many"):
        plan([100], bits, damage, budget=4)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 1000),
            st.lists(st.tuples(st.floats(1, 8), st.floats(0, 10)), min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=5,
    ),
    st.floats(1, 9),
)
def test_plans_keep_their_budget(tensors, budget):
    weights = [weight for weight, _ in tensors]
    bits = [[b for b, _ in choices] for _, choices in tensors]
    damage = [[d for _, d in choices] for _, choices in tensors]
    try:
        chosen = plan(weights, bits, damage, budget=budget)
    except ArrowQuantError:
        smallest = sum(w * min(b) for w, b in zip(weights, bits, strict=True))

        assert smallest > budget * sum(weights) * (1 - 1e-9)
        return
    spent = sum(w * b[c] for w, b, c in zip(weights, bits, chosen, strict=True))

    assert spent <= budget * sum(weights) * (1 + 1e-9)
