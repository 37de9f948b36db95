"""What the cases of `bench_quant` share: formats, weights and rounds."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FORMATS: dict[str, dict[str, Any]] = {
    "int4 g64 f16": {"bits": 4, "group_size": 64, "param_format": "f16"},
    "int4 g32 u6": {"bits": 4, "group_size": 32, "param_format": "u6"},
    "int4 g32 u4": {"bits": 4, "group_size": 32, "param_format": "u4"},
    "int3 g64 f16": {"bits": 3, "group_size": 64, "param_format": "f16"},
    "int3 g32 u6": {"bits": 3, "group_size": 32, "param_format": "u6"},
    "int2 g64 f16": {"bits": 2, "group_size": 64, "param_format": "f16"},
    "int2 g32 f16": {"bits": 2, "group_size": 32, "param_format": "f16"},
    "int2 g16 u6": {"bits": 2, "group_size": 16, "param_format": "u6"},
    "int2 g16 u4": {"bits": 2, "group_size": 16, "param_format": "u4"},
    "int8 row f16": {"bits": 8, "group_size": -1, "param_format": "f16", "symmetric": True},
}

# The variable that limits torch limits ours, so that a comparison is fair.
INSTRUCTIONS = "avx2" if os.environ.get("ATEN_CPU_CAPABILITY") == "avx2" else None


def on(threads: int) -> str:
    """The end of the name of a result: threads, and the limit of instructions."""
    return {1: "one thread", 2: "two threads"}.get(threads, f"{threads} threads") + (
        ", limited to AVX2" if INSTRUCTIONS else ""
    )


def in_turn(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each, after one call that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(seconds[1:]) for name, seconds in times.items()}


def gaussian(*shape: int) -> Floats:
    """The same numbers each time."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
