"""Small classifiers of pictures and sounds, trained where they are needed, and their features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from aios_core.contracts import Sound
from aios_core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEATURES: Final = 64
_WINDOW, _HOP = 256, 128


def image_of(item: Any) -> NDArray[np.float32]:
    """(C, H, W) in [0, 1] of a picture; of a sound the logarithm of its spectrogram, scaled.

    Raises:
        DataError: it is neither.
    """
    if isinstance(item, Sound):
        padded = np.pad(item.samples.astype(np.float64), (0, _WINDOW))
        starts = np.arange(max(len(item.samples) // _HOP, 1)) * _HOP
        frames = padded[starts[:, None] + np.arange(_WINDOW)] * np.hanning(_WINDOW)
        power = np.abs(np.fft.rfft(frames))[:, 1:] ** 2
        bands = power.reshape(len(frames), 32, -1).sum(-1)
        return np.asarray(np.log(bands + 1e-2) / 10 + 0.5, np.float32)[None]
    if isinstance(item, np.ndarray) and item.dtype == np.uint8 and item.ndim == 3:
        return np.asarray(item.transpose(2, 0, 1) / 255, np.float32)
    raise DataError(f"expected a picture or a sound, got {type(item).__name__}")


def batch_of(items: Sequence[Any], shape: tuple[int, ...] | None = None) -> Tensor:
    """(N, C, H, W) of items; shorter sounds have what is silence behind them.

    Raises:
        DataError: pictures of several sizes.
    """
    parts = [image_of(item) for item in items]
    sizes = {part.shape for part in parts}
    if isinstance(items[0], Sound):
        height = shape[1] if shape else max(size[1] for size in sizes)
        quiet = np.float32(np.log(1e-2) / 10 + 0.5)
        parts = [
            np.pad(
                p[:, :height],
                ((0, 0), (0, max(height - p.shape[1], 0)), (0, 0)),
                constant_values=quiet,
            )
            for p in parts
        ]
    elif len(sizes) > 1 or (shape is not None and sizes != {shape}):
        raise DataError(f"pictures have sizes {sorted(sizes)[:4]}; expected one size")
    return torch.from_numpy(np.stack(parts))


@frozen(eq=False)
class Judge:
    """A classifier that was trained on real items."""

    network: nn.Module
    shape: tuple[int, ...]
    accuracy: float
    """Share of held-out items that it knows: no figure means more than that."""

    @torch.no_grad()
    def __call__(self, items: Sequence[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(N,) classes, and (N, 64) features."""
        features, classes = [], []
        for start in range(0, len(items), 256):
            x = batch_of(items[start : start + 256], self.shape)
            h = self.network[:-1](x)  # type: ignore[index]
            features.append(h.double())
            classes.append(self.network[-1](h).argmax(-1))  # type: ignore[index]
        return torch.cat(classes).numpy(), torch.cat(features).numpy()


def trained(
    items: Sequence[Any],
    classes: NDArray[np.int64],
    held_out: Sequence[Any],
    expected: NDArray[np.int64],
    *,
    seed: int,
    passes: int,
) -> Judge:
    """A judge of some items; the same for the same seed.

    Args:
        items: to train on.
        classes: (N,) their classes, from 0.
        held_out: others.
        expected: their classes.
        seed: of weights and order.
        passes: over the items.
    """
    x, y = batch_of(items), torch.from_numpy(classes)
    shape = tuple(x.shape[1:])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(shape, int(classes.max()) + 1)
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
        steps = passes * -(-len(x) // 64)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
        for _ in range(passes):
            for rows in torch.randperm(len(x)).split(64):
                loss = F.cross_entropy(network(x[rows]), y[rows], label_smoothing=0.05)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
    judge = Judge(network.eval(), shape, 0.0)
    known = float((judge(held_out)[0] == expected).mean())
    return Judge(network, shape, known)


def _network(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    channels = shape[0]
    return nn.Sequential(
        nn.Conv2d(channels, 24, 3, padding=1),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(24, 48, 3, padding=1),
        nn.BatchNorm2d(48),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(48 * 16, _FEATURES),
        nn.ReLU(),
        nn.Linear(_FEATURES, classes),
    )


def frechet(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Squared Frechet distance of Gaussians with the moments of two sets of features (N, D).

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2) (Heusel et al., arXiv 1706.08500), by
    eigenvalues of symmetric matrices, so that nothing becomes complex.
    """
    means = [part.mean(0) for part in (first, second)]
    spreads = [np.cov(part, rowvar=False) for part in (first, second)]
    values, vectors = np.linalg.eigh(spreads[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ spreads[1] @ root).clip(0)
    trace = float(np.trace(spreads[0]) + np.trace(spreads[1]) - 2 * np.sqrt(inner).sum())
    return float(((means[0] - means[1]) ** 2).sum()) + trace
