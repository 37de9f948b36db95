"""What may be drawn: filters of a prediction, in one place for all samplers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from aios_core.errors import InferenceError

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Controls


class LogitsProcessor:
    """`Controls` at work on the distributions that a sampler draws from.

    The order is that of transformers: repetition penalty and suppressed tokens, then, of what the
    temperature makes of that, top-k, top-p and min-p. Confidence, which decides where and when a
    sampler draws, stays that of the network.

    Args:
        controls: the settings.
        mask_id: token id of the mask.
    """

    def __init__(self, controls: Controls, mask_id: int) -> None:
        self.controls, self.mask_id = controls, mask_id
        self._present: Tensor | None = None

    def observe(self, x: Tensor) -> None:
        """Take note of the state (B, L) of which the next prediction is, masks where padded."""
        self._present = x

    def __call__(self, log_probs: Tensor, rows: Tensor, temperature: float) -> Tensor:
        """The distributions with what must not be drawn taken out, before temperature.

        Args:
            log_probs: (N, V) float64, overwritten.
            rows: (N,) int64, the row of the batch that each belongs to.
            temperature: by which the answer is going to be divided; 0 takes its highest entry.

        Returns:
            (N, V), not normalised.

        Raises:
            InferenceError: nothing is left of a distribution.
        """
        controls = self.controls
        if controls.repetition_penalty != 1 and self._present is not None:
            seen = self._seen(log_probs.shape[-1])
            log_probs = torch.where(seen[rows], log_probs * controls.repetition_penalty, log_probs)
        if controls.suppress_tokens:
            self._suppress(log_probs)
        if temperature > 0:
            log_probs.masked_fill_(~self._likely(log_probs, temperature), -torch.inf)
        return log_probs

    def _seen(self, vocab: int) -> Tensor:
        """(B, V) bool: tokens that each row holds."""
        assert self._present is not None
        seen = self._present.new_zeros((len(self._present), vocab), dtype=torch.bool)
        seen.scatter_(1, self._present, value=True)
        seen[:, self.mask_id] = False
        return seen

    def _suppress(self, log_probs: Tensor) -> None:
        tokens = self.controls.suppress_tokens
        if max(tokens) >= log_probs.shape[-1]:
            raise InferenceError(
                f"suppress_tokens: {max(tokens)} is not a token; expected 0 to "
                f"{log_probs.shape[-1] - 1}"
            )
        log_probs[:, list(tokens)] = -torch.inf
        if bool((log_probs == -torch.inf).all(-1).any()):
            raise InferenceError(
                f"suppress_tokens: of a prediction nothing is left without {list(tokens)[:8]}"
            )

    def _likely(self, log_probs: Tensor, temperature: float) -> Tensor:
        """(N, V) bool: what top-k, top-p and min-p leave."""
        controls = self.controls
        keep = log_probs > -torch.inf
        if controls.top_k is not None and controls.top_k < log_probs.shape[-1]:
            keep &= log_probs >= log_probs.topk(controls.top_k).values[:, -1:]
        tempered = (log_probs / temperature).masked_fill(~keep, -torch.inf)
        if controls.top_p < 1:
            ordered, order = tempered.softmax(-1).sort(dim=-1, descending=True, stable=True)
            before = ordered.cumsum(-1) - ordered  # so that the token that crosses top_p stays
            keep &= torch.zeros_like(keep).scatter_(-1, order, before < controls.top_p)
            tempered.masked_fill_(~keep, -torch.inf)
        if controls.min_p > 0:
            keep &= tempered >= tempered.amax(-1, keepdim=True) + math.log(controls.min_p)
        return keep
