"""Entropies of what a network says."""

from __future__ import annotations

import torch
from torch import Tensor

from aios_core.diffusion.chunking import chunks, entries_on, joined
from aios_core.tensor_cache import cached_by_tensor


@cached_by_tensor
def entropies(log_probs: Tensor) -> Tensor:
    """Entropies of normalised distributions, (B, L, V) to (B, L), in nats and their type."""
    flat = log_probs.flatten(0, 1)
    parts = chunks(len(flat), flat.shape[-1], entries_on(flat.device))
    return joined([entropy(flat[chunk]) for chunk in parts]).view(log_probs.shape[:2])


def entropies_at(log_probs: Tensor, rows: Tensor, places: Tensor) -> Tensor:
    """Likewise of some positions, (N,) rows and places of (B, L, V): (N,), looked up if known."""
    known = entropies.known(log_probs)
    if len(rows) == log_probs[..., 0].numel():
        known = entropies(log_probs)
    if known is not None or not len(rows):
        return log_probs[rows, places, 0] if known is None else known[rows, places]
    parts = chunks(len(rows), log_probs.shape[-1], entries_on(log_probs.device))
    return joined([entropy(log_probs[rows[chunk], places[chunk]]) for chunk in parts])


def entropy(log_probs: Tensor) -> Tensor:
    """Entropies of normalised distributions, (N, V) to (N,), in nats and their type.

    Examples:
        >>> entropy(torch.tensor([[0.5, 0.5], [1.0, 0.0]]).log())
        tensor([0.6931, 0.0000])
    """
    probability = log_probs.exp()
    terms: Tensor = torch.special.entr(probability, out=probability)
    if len(terms) == 1:  # of which several threads would sum up a part each
        return terms.expand(2, -1).sum(-1)[:1]
    return terms.sum(-1)
