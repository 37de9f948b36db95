"""The denoiser: a network's logits as the distribution of the clean tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import evolve
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from aios_core.component import blamed
from aios_core.contracts import Condition
from aios_core.diffusion.chunking import chunks, entries_on
from aios_core.diffusion.random import indices
from aios_core.tensor_cache import count, masks

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Network


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


def narrowed(h: Tensor, part: slice) -> Tensor:
    """The states (B, stop - start, D) of a part, given those of it or of all positions."""
    return h if h.shape[1] == part.stop - part.start else h[:, part]


class ModelDenoiser:
    """A `Model` as samplers see it; made by `Model.denoiser`.

    The network's states become logits a chunk at a time and only at masked positions, so the answer
    is the one tensor of its size.

    Attributes:
        nfe: calls so far.
        time_conditioned: whether the answer depends on t.
    """

    def __init__(
        self, model: Network, condition: Condition | None, dtype: torch.dtype | None
    ) -> None:
        self.model, self.condition, self.dtype = model, condition, dtype
        self.time_conditioned = model.time_conditioned
        self.nfe = 0

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Log-probabilities (B, L, V) of the clean tokens, given x (B, L) at times t (B,)."""
        return self.part(x, t, 0, x.shape[1])

    def part(self, x: Tensor, t: Tensor, start: int, stop: int) -> Tensor:
        """Likewise of some positions, (B, stop - start, V), given all of x."""
        self.nfe += 1
        made = self.model.made
        with blamed(made[1][1], "its module", within=made):
            h = self.states(x, t, start, stop)
            return self._decode(h, x if h.shape[1] == x.shape[1] else x[:, start:stop])

    def states(self, x: Tensor, t: Tensor, start: int, stop: int) -> Tensor:
        """(B, stop - start, D) the network's states at some positions."""
        if start == 0 and stop == x.shape[1]:
            return self.model.states(x, t, self.condition)
        kept = slice(start, stop)
        asked = evolve(self.condition or Condition(), part=kept)
        return narrowed(self.model.states(x, t, asked), kept)

    def _decode(self, h: Tensor, x: Tensor) -> Tensor:
        """What `substitute` makes of the logits of states h (B, L, D)."""
        vocabulary = self.model.vocabulary
        dtype = self.dtype or torch.promote_types(h.dtype, torch.float32)
        h, size = h.flatten(0, 1), vocabulary.size
        is_masked = masks(x, vocabulary.mask_id)
        # Other noise looks as clean as any token.
        if not self.model.process.absorbing or count(is_masked) == len(h):
            out = h.new_empty(len(h), size, dtype=dtype)
            for chunk in chunks(len(h), size, entries_on(h.device)):
                self._log_probs(h[chunk], dtype, out=out[chunk])
        else:
            out = h.new_full((len(h), size), -torch.inf, dtype=dtype)
            out.scatter_(1, x.reshape(-1, 1), 0.0)  # what is masked is overwritten
            masked = indices(is_masked)
            # Half as large, for there are two at once: logits, and what becomes of them.
            for chunk in chunks(len(masked), size, entries_on(h.device) // 2):
                out.index_copy_(0, masked[chunk], self._log_probs(h[masked[chunk]], dtype))
        return out.view(*x.shape, -1)

    def _log_probs(self, h: Tensor, dtype: torch.dtype, out: Tensor | None = None) -> Tensor:
        """Log-probabilities (N, V) of the tokens by states (N, D)."""
        logits = self.model.decode(h[None])[0]
        logits[:, self.model.vocabulary.mask_id].fill_(-torch.inf)
        return torch.log_softmax(logits, -1, dtype=dtype, out=out)
