"""A denoiser of 350 M parameters on packed weights: the case `network` of `bench_quant`."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from quant_cases import FORMATS, INSTRUCTIONS, in_turn, on
from result import Bar
from torch import nn

from aios_plugins._native.arrow_quant import QuantizedMatrix

if TYPE_CHECKING:
    from record import Recorder


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
        y = torch.empty(len(flat), self.matrix.shape[0])
        self.matrix.linear(flat, out=y.numpy(), threads=self.threads, instructions=INSTRUCTIONS)
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


def network(record: Recorder, threads: int, rounds: int) -> None:
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
    rows = torch.randint(vocabulary, (1, positions))

    @torch.inference_mode()
    def denoise(model: nn.Module) -> None:
        x = rows.clone()
        for step in range(steps):
            best = model(x).float().softmax(-1).max(-1)
            chosen = best.values.topk(positions * (step + 1) // steps).indices
            x = rows.scatter(1, chosen, best.indices.gather(1, chosen))

    models = {
        "torch float32": full,
        "torch bfloat16": half,
        "ours int2 g64 f16": packed,
        "ours int2 g16 u4": double,
    }
    calls = {name: lambda m=m: denoise(m) for name, m in models.items()}
    calls.pop("torch bfloat16")
    began = time.perf_counter()
    denoise(half)
    slow = time.perf_counter() - began
    seconds = in_turn(calls, rounds)
    peers = {"torch float32": seconds["torch float32"], "torch bfloat16": slow}
    for name, taken in seconds.items():
        if not name.startswith("ours"):
            continue
        Packed.spent, begun = 0.0, time.perf_counter()
        denoise(models[name])
        outside = 1 - Packed.spent / (time.perf_counter() - begun)
        bar = Bar("ratio", least=2) if INSTRUCTIONS else Bar("ours", most=0.5)
        barred = name == "ours int2 g64 f16" and threads > 1
        record(
            f"4 steps of a network of {parameters / 1e6:.0f} M, {name.removeprefix('ours ')}, "
            f"{on(threads)}",
            taken,
            unit="s",
            peers=peers,
            bar=bar if barred else None,
            headline=barred,
            how=f"24 layers of width {width:,}, {positions} positions; median of {rounds} rounds, "
            "bfloat16 once",
            outside_products_percent=100 * outside,
            wait_policy=os.environ.get("OMP_WAIT_POLICY", "not set"),
        )
