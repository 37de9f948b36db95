"""ggml, through `ggml-python`, as a peer of `bench_quant`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import ggml
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

KINDS = {
    "Q4_0": (ggml.GGML_TYPE_Q4_0, 4.5),
    "Q4_K": (ggml.GGML_TYPE_Q4_K, 4.5),
    "Q2_K": (ggml.GGML_TYPE_Q2_K, 2.625),
}


def quantize(kind: str, weight: Floats) -> NDArray[np.uint8]:
    """Packed rows."""
    number, _ = KINDS[kind]
    rows, columns = weight.shape
    out = np.empty(rows * ggml.ggml_row_size(number, columns), np.uint8)
    source = weight.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    ggml.ggml_quantize_chunk(number, source, out.ctypes.data, 0, rows, columns, None)
    return out


def dequantize(kind: str, packed: NDArray[np.uint8], columns: int) -> Floats:
    """Rows again."""
    import gguf

    number, _ = KINDS[kind]
    return gguf.quants.dequantize(packed, gguf.GGMLQuantizationType(number)).reshape(-1, columns)


def linear(kind: str, weight: Floats, x: Floats, threads: int) -> Callable[[], Floats]:
    """A product ``x W^T`` whose graph and memory are made before it is timed."""
    number, _ = KINDS[kind]
    packed = quantize(kind, weight)
    size = packed.nbytes + 4 * (x.size + len(x) * len(weight)) + (1 << 22)
    context = ggml.ggml_init(ggml.ggml_init_params(mem_size=size, mem_buffer=None, no_alloc=False))
    matrix = ggml.ggml_new_tensor_2d(context, number, weight.shape[1], weight.shape[0])
    given = ggml.ggml_new_tensor_2d(context, ggml.GGML_TYPE_F32, x.shape[1], x.shape[0])
    ctypes.memmove(ggml.ggml_get_data(matrix), packed.ctypes.data, packed.nbytes)
    ctypes.memmove(ggml.ggml_get_data(given), x.ctypes.data, x.nbytes)
    result = ggml.ggml_mul_mat(context, matrix, given)
    graph = ggml.ggml_new_graph(context)
    ggml.ggml_build_forward_expand(graph, result)
    plan: Any = ggml.ggml_graph_plan(graph, threads, None)
    work = np.empty(max(1, plan.work_size), np.uint8)
    plan.work_data = work.ctypes.data_as(type(plan.work_data))
    out = (ctypes.c_float * (len(x) * len(weight))).from_address(ggml.ggml_get_data(result))

    def run() -> Floats:
        assert work.size  # it must live as long as the plan
        ggml.ggml_graph_compute(graph, ctypes.byref(plan))
        return np.frombuffer(out, np.float32).reshape(len(x), len(weight))

    return run
