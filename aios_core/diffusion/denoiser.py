"""The denoiser: a network's logits as the distribution of the clean tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own custom

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Condition
    from aios_core.diffusion.model import Model


def substitute(logits: Tensor, x: Tensor, mask_id: int, dtype: torch.dtype) -> Tensor:
    """Log-probabilities of the clean tokens: SUBS of MDLM (arXiv 2406.07524, section 3.2.3).

    A clean text holds no mask, so the mask has probability zero; what is not masked is clean
    already, so it keeps its token with probability one.

    Args:
        logits: (B, L, V) of any floating type; overwritten.
        x: (B, L) int64 the state they were computed from.
        mask_id: token id of the mask.
        dtype: of the answer and of the normalisation, float32 or float64.

    Returns:
        (B, L, V) normalised log-probabilities.
    """
    logits[..., mask_id] = -torch.inf
    log_probs = F.log_softmax(logits, dim=-1, dtype=dtype)  # upcasts first: bfloat16 would round
    clean = x != mask_id
    log_probs.masked_fill_(clean[..., None], -torch.inf)
    certain = torch.zeros_like(x, dtype=dtype).masked_fill_(~clean, -torch.inf)
    return log_probs.scatter_(-1, x[..., None], certain[..., None])


class ModelDenoiser:
    """A `Model` as samplers see it; made by `Model.denoiser`.

    Attributes:
        nfe: calls so far.
        time_conditioned: whether the answer depends on t.
    """

    def __init__(self, model: Model, condition: Condition | None, dtype: torch.dtype) -> None:
        self.model, self.condition, self.dtype = model, condition, dtype
        self.time_conditioned = model.time_conditioned
        self.nfe = 0

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Log-probabilities (B, L, V) of the clean tokens, given x (B, L) at times t (B,)."""
        self.nfe += 1
        logits, mask_id = self.model(x, t, self.condition), self.model.vocabulary.mask_id
        if self.model.process.absorbing:
            return substitute(logits, x, mask_id, self.dtype)
        logits[..., mask_id] = -torch.inf
        return F.log_softmax(logits, dim=-1, dtype=self.dtype)
