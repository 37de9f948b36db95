"""The bound for a part of a text, given the rest of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from aios_core.contracts import Condition

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from aios_core.contracts import Network


def conditional_nelbo(
    model: Network, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator, *, free: Tensor
) -> Tensor:
    """One draw of the bound of -log p(free | rest) for each row.

    MDLM's NELBO (arXiv 2406.07524, eq. 10) with noise on some positions alone: the others are
    clean, as a prompt is.

    Args:
        model: a diffusion model under masks, not in blocks.
        x0: (B, L) int64 clean tokens.
        valid: (B, L) bool, False at padding.
        times: (B,) float64 uniform in [0, 1].
        generator: of the noise, on the CPU.
        free: (B, L) bool, what the bound is of.

    Returns:
        (B,) nats.
    """
    alpha = model.noise.alpha(times)
    hidden = torch.rand(x0.shape, generator=generator, dtype=torch.float64) >= alpha[:, None]
    hidden &= free & valid
    z = model.place(torch.where(hidden, model.vocabulary.mask_id, x0))
    condition = None if bool(valid.all()) else Condition(model.place(valid))
    h = model.states(z, model.place(times), condition)
    row, column = hidden.nonzero().unbind(1)
    losses = model.losses(h[model.place(row), model.place(column)], model.place(x0[row, column]))
    total = torch.zeros(len(x0), dtype=torch.float64, device=losses.device)
    total.index_add_(0, model.place(row), losses.double())
    return model.place(model.noise.weight(times)) * total
