"""Texts as vectors, by the network that writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from aios_core.contracts import Condition
from aios_core.diffusion.block_causal import sight

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aios_core.diffusion.model import Model


@torch.no_grad()
def embed(model: Model, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Mean states of the backbone over the tokens of each row, of Euclidean length 1.

    Args:
        model: of either mode; a diffusion model reads the text as clean, at time 0.
        rows: N rows of at least one token each.

    Returns:
        (N, D) float32.
    """
    width = max(map(len, rows))
    padded = [[*row, *[model.vocabulary.pad_id] * (width - len(row))] for row in rows]
    x = torch.tensor(padded, device=model.device)
    ends = torch.tensor([len(row) for row in rows], device=model.device)[:, None]
    valid = torch.arange(width, device=model.device) < ends
    time = None if model.mode == "ar" else torch.zeros(len(x), dtype=torch.float64).to(x.device)
    mask = sight(model, width, x.device) if model.in_blocks else None
    condition = Condition(valid=valid, mask=mask)
    states = model.eval().states(x, time, condition)
    mean = states.double().masked_fill(~valid[..., None], 0).sum(1) / ends
    vectors: NDArray[np.float32] = F.normalize(mean, dim=-1).float().cpu().numpy()
    return vectors
