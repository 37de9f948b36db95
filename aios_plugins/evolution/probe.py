"""The weight probe: what tensors look like, one number a row.

Spectra are of the eigenvalues of W^T W, as WeightWatcher has them (Martin, Peng and Mahoney 2021):
``stable_rank``, ``alpha``, ``alpha_ks`` and ``alpha_hat`` are its numbers, and ``norm`` and
``spectral_norm`` the roots of its own.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import torch
from attrs import frozen

from aios_core.training.fitting import gradients_of, score

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Network, Quantizer, Windows

MIN_EIGENVALUES: Final = 50
"""With fewer, a power law cannot be distinguished from other distributions: no alpha is given."""
PROMISE: Final = "grad_mean_abs"
"""The measure by which `l3-unfreeze` chooses tensors, by gradients of its own."""
OUTLIER: Final = 6.0
"""Standard deviations beyond which a weight is an outlier."""


@frozen
class Row:
    """One measure of one tensor."""

    tensor: str
    shape: tuple[int, ...]
    metric: str
    value: float | None
    """None where it is refused."""
    status: str
    """``"ok"``, or why there is no value."""
    n: int
    """Numbers that it was taken over."""


def probe(tensors: Mapping[str, Tensor]) -> Iterator[Row]:
    """Everything that needs no data, tensor by tensor.

    Args:
        tensors: of a floating type; others are left out.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel():
            w = tensor.detach().double().cpu()
            yield from _entries(name, w)
            if w.ndim == 2:
                yield from _spectrum(name, w)


def with_data(
    model: Network, windows: Windows, *, batches: int = 6, seed: int = 0
) -> Iterator[Row]:
    """Gradient norms, mean size of the gradient, and the diagonal of the Fisher information.

    Args:
        model: trained.
        windows: texts.
        batches: of 16 rows.
        seed: of rows, times and noise.
    """
    fork = model.fork().eval()
    parameters = dict(fork.named_parameters())
    tensors = list(parameters.values())
    mean = [torch.zeros_like(tensor) for tensor in tensors]
    fisher = [0.0 for _ in tensors]
    for gradients in gradients_of(fork, windows, tensors, batches=batches, seed=seed):
        mean = [m + g / batches for m, g in zip(mean, gradients, strict=True)]
        fisher = [
            f + float(g.square().mean()) / batches for f, g in zip(fisher, gradients, strict=True)
        ]
    for (name, tensor), gradient, squares in zip(parameters.items(), mean, fisher, strict=True):
        norm, own = float(gradient.norm()), float(tensor.detach().norm())
        yield _row(name, tensor, "grad_norm", norm)
        yield _row(name, tensor, PROMISE, float(gradient.abs().mean()))
        yield _row(name, tensor, "relative_grad_norm", norm / own if own else math.nan)
        yield _row(name, tensor, "fisher", squares)


def quantization_errors(tensors: Mapping[str, Tensor], quantizer: Quantizer) -> Iterator[Row]:
    """Squared error of each matrix after quantization, relative to its squared norm."""
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and tensor.is_floating_point():
            w = tensor.detach().float().cpu()
            error = quantizer.dequantize(quantizer.quantize(w)) - w
            size = float(w.square().sum())
            relative = float(error.square().sum()) / size if size else 0.0
            yield _row(name, tensor, "quantization_error", relative)


@torch.no_grad()
def quantization_sensitivity(
    model: Network, windows: Windows, quantizer: Quantizer, *, draws: int = 2, seed: int = 0
) -> Iterator[Row]:
    """By how many nats a token texts become less likely when one matrix alone is quantized.

    Args:
        model: trained; a copy is changed.
        windows: texts, on the same noise for every matrix.
        quantizer: of that matrix.
        draws: noisy states of a text.
        seed: of the noise.
    """
    own, tokens = copy.deepcopy(model).eval(), int(windows.sizes.sum())
    before = score(own, windows, draws=draws, seed=seed)
    for name, parameter in own.named_parameters():
        if parameter.ndim == 2 and parameter.is_floating_point():
            kept = parameter.data
            quantized = quantizer.quantize(kept.float().cpu())
            parameter.data = quantizer.dequantize(quantized).to(kept)
            change = score(own, windows, draws=draws, seed=seed) - before
            parameter.data = kept
            yield _row(name, kept, "quantization_nelbo", float(change.sum()) / tokens)


def _entries(name: str, w: Tensor) -> Iterator[Row]:
    mean, deviation = float(w.mean()), float(w.std(correction=0))
    yield _row(name, w, "norm", float(w.norm()))
    yield _row(name, w, "max_abs", float(w.abs().max()))
    yield _row(name, w, "sparsity", float((w == 0).double().mean()))
    if deviation > 0:
        z = (w - mean) / deviation
        yield _row(name, w, "kurtosis", float(z.pow(4).mean()) - 3)
        yield _row(name, w, "outliers", float((z.abs() > OUTLIER).double().mean()))


def _spectrum(name: str, w: Tensor) -> Iterator[Row]:
    values = torch.linalg.svdvals(w)
    top = float(values[0])
    yield _row(name, w, "spectral_norm", top)
    if top == 0:
        return
    yield _row(name, w, "stable_rank", float(values.square().sum()) / top**2)
    shares = values / values.sum()
    entropy = -float(torch.special.xlogy(shares, shares).sum())
    yield _row(name, w, "effective_rank", math.exp(entropy))
    least = float(values[-1])
    yield _row(name, w, "condition_number", top / least if least else math.inf)
    eigenvalues = values.square().flip(0)
    n = len(eigenvalues)
    if n < MIN_EIGENVALUES:
        why = f"{n} eigenvalues, and a power law needs {MIN_EIGENVALUES}"
        yield Row(name, tuple(w.shape), "alpha", None, why, n)
        return
    alpha, distance, tail = power_law(eigenvalues)
    if not tail:
        why = "all eigenvalues are alike, and a power law needs some that are larger"
        yield Row(name, tuple(w.shape), "alpha", None, why, n)
        return
    yield Row(name, tuple(w.shape), "alpha", alpha, "ok", tail)
    yield Row(name, tuple(w.shape), "alpha_ks", distance, "ok", tail)
    yield Row(
        name, tuple(w.shape), "alpha_hat", alpha * math.log10(float(eigenvalues[-1])), "ok", tail
    )


def power_law(eigenvalues: Tensor) -> tuple[float, float, int]:
    """Exponent of the tail, its distance from the data, and how long it is.

    The maximum likelihood exponent 1 + n / sum log(x / xmin), with the xmin whose tail is nearest
    to its own power law in Kolmogorov-Smirnov distance (Clauset, Shalizi and Newman 2009,
    equations 3.1 and 3.9).

    Args:
        eigenvalues: ascending, at least two of them positive.

    Returns:
        Not a number, infinity and 0 where all that are positive are equal.
    """
    x = eigenvalues[eigenvalues > eigenvalues[-1] * 1e-12]
    best = (math.nan, math.inf, 0)
    logs = x.log()
    for start in range(len(x) - 1):
        tail = logs[start:] - logs[start]
        n, total = len(tail), float(tail.sum())
        if total <= 0:
            continue
        alpha = 1 + n / total
        model = 1 - torch.exp(-(alpha - 1) * tail)
        data = torch.arange(n, dtype=x.dtype) / n
        distance = float((model - data).abs().max())
        if distance < best[1]:
            best = (alpha, distance, n)
    return best


def _row(name: str, tensor: Tensor, metric: str, value: float) -> Row:
    finite = math.isfinite(value)
    status = "ok" if finite else "not finite"
    return Row(name, tuple(tensor.shape), metric, value if finite else None, status, tensor.numel())
