"""What goes into a model's layers while it denoises: statistics for quantizers that use them.

A masked diffusion model meets texts of every mask rate, so its layers are watched over all of them
(arXiv 2508.14090 and 2510.03274): times are stratified over the whole set of texts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from attrs import define
from torch import Tensor, nn

from aios_core.contracts import Statistics
from aios_core.diffusion.objective import training_loss
from aios_core.diffusion.random import RowRandom
from aios_core.errors import QuantizationError
from aios_core.quantization.linear import linears

if TYPE_CHECKING:
    from aios_core.contracts import Sequences
    from aios_core.diffusion.model import Model


@define
class _Sum:
    """Sum of x x^T so far, and of how many."""

    total: Tensor
    count: int = 0

    def add(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        """The hook of a layer."""
        x = inputs[0].detach().flatten(0, -2).float()
        self.total.addmm_(x.T, x)
        self.count += len(x)


@torch.no_grad()
def calibrate(
    model: Model,
    texts: Sequences,
    *,
    seed: int = 0,
    batch_size: int = 8,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Statistics]:
    """Second moments of the inputs of every layer that would be quantized, by its name.

    Args:
        model: of either mode; it is left in evaluation mode.
        texts: N of them; their times are spread evenly over [0, 1].
        seed: of times and noise.
        batch_size: texts a forward pass.
        on_progress: called with how many texts a pass saw.

    Raises:
        QuantizationError: there are no texts.
    """
    if not len(texts):
        raise QuantizationError("there are no texts to calibrate with; expected at least one")
    generator = torch.Generator().manual_seed(seed)
    shift = torch.rand(len(texts), generator=generator, dtype=torch.float64)
    order = torch.randperm(len(texts), generator=generator)
    times = ((torch.arange(len(texts)) + shift) / len(texts))[order]
    layers = linears(model.eval())
    sums = {
        name: _Sum(torch.zeros(layer.in_features, layer.in_features, device=layer.weight.device))
        for name, layer in layers.items()
    }
    hooks = [layer.register_forward_pre_hook(sums[name].add) for name, layer in layers.items()]
    try:
        for start in range(0, len(texts), batch_size):
            rows = slice(start, start + batch_size)
            part = texts[rows]
            numbers = range(start, start + len(part))
            random = RowRandom.numbered(seed, numbers, part.ids.shape[1])
            training_loss(model, part, times[rows], random)
            on_progress(len(part))
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: Statistics(total.total / total.count, total.count)
        for name, total in sums.items()
        if total.count
    }
