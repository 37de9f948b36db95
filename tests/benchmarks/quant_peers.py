"""The peers of `bench_quant` that are installed, each behind one function."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def installed(name: str) -> bool:
    """Whether a peer can be imported."""
    return importlib.util.find_spec(name) is not None


@frozen
class Peer:
    """Another quantizer."""

    name: str
    bits: float
    """Of a weight, parameters included."""
    quantize: Callable[[Floats], Any]
    dequantize: Callable[[Any], Floats]

    def back(self, weight: Floats) -> Floats:
        """A matrix through few bits and back."""
        return np.asarray(self.dequantize(self.quantize(weight)), np.float32).reshape(weight.shape)


def quantizers() -> Iterator[Peer]:
    """Those that are installed."""
    for bits in (4, 2):
        yield Peer(f"numpy int{bits} g64", bits + 0.5, _nearest(bits), _expand)
    yield Peer("torch int4 g64", 4.5, _torch, lambda p: p[0].mul(p[1]).add_(p[2]).numpy())
    if installed("ggml") and installed("gguf"):
        import quant_ggml

        for kind, (_, bits) in quant_ggml.KINDS.items():
            yield Peer(
                f"ggml {kind}",
                bits,
                lambda w, k=kind: (quant_ggml.quantize(k, w), w.shape[1]),
                lambda packed, k=kind: quant_ggml.dequantize(k, *packed),
            )
    if installed("bitsandbytes"):
        from bitsandbytes import functional

        yield Peer(
            "bitsandbytes nf4 g64",
            4.5,
            lambda w: functional.quantize_4bit(torch.from_numpy(w), quant_type="nf4"),
            lambda packed: functional.dequantize_4bit(*packed).numpy(),
        )
    if installed("hqq"):
        from hqq.core.quantize import Quantizer

        for bits, group in ((4, 64), (2, 32)):
            yield Peer(
                f"hqq int{bits} g{group}",
                bits + 32 / group,
                lambda w, n=bits, g=group: Quantizer.quantize(
                    torch.from_numpy(w), nbits=n, group_size=g, device="cpu"
                ),
                lambda packed: Quantizer.dequantize(*packed).float().numpy(),
            )


def _nearest(bits: int) -> Callable[[Floats], Any]:
    """What numpy users write: per group of 64, between the least and the largest, packed."""

    def run(weight: Floats) -> Any:
        groups = weight.reshape(-1, 64)
        low, high = groups.min(1, keepdims=True), groups.max(1, keepdims=True)
        scale = (high - low) / (2**bits - 1)
        codes = np.clip(np.rint((groups - low) / scale), 0, 2**bits - 1).astype(np.uint8)
        places = 8 // bits
        packed = codes[:, ::places].copy()
        for place in range(1, places):
            packed |= codes[:, place::places] << (bits * place)
        return packed, scale.astype(np.float16), low.astype(np.float16), bits

    return run


def _expand(payload: Any) -> Floats:
    packed, scale, low, bits = payload
    places = [packed >> (bits * place) & (2**bits - 1) for place in range(8 // bits)]
    return np.stack(places, -1).reshape(len(packed), -1) * scale.astype(np.float32) + low


def _torch(weight: Floats) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same in torch, not packed."""
    groups = torch.from_numpy(weight).reshape(-1, 64)
    low, high = groups.aminmax(dim=1, keepdim=True)
    scale = (high - low) / 15
    return ((groups - low) / scale).round_().clamp_(0, 15).to(torch.uint8), scale, low


def products(weight: Floats, x: Floats, threads: int) -> dict[str, Callable[[], Any]]:
    """Ways to compute ``x W^T``; the weights are prepared here."""
    full, tensor = torch.from_numpy(weight), torch.from_numpy(x)
    codes = torch.quantize_per_tensor(full, float(np.abs(weight).max()) / 127, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(codes, None)
    half, narrow = full.bfloat16(), tensor.bfloat16()
    ways: dict[str, Callable[[], Any]] = {
        "torch float32": lambda: tensor @ full.T,
        "torch bfloat16": lambda: narrow @ half.T,
        "torch int8 (FBGEMM)": lambda: torch.ops.quantized.linear_dynamic(tensor, packed),
    }
    if installed("ggml"):
        import quant_ggml

        for kind in quant_ggml.KINDS:
            ways[f"ggml {kind}"] = quant_ggml.linear(kind, weight, x, threads)
    return ways
