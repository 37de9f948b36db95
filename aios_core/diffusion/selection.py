"""Which positions a sampler fills in first: measures of how sure the network is, and ranks."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from aios_core.diffusion.chunking import chunks, entries_on, joined
from aios_core.tensor_cache import cached_by_tensor, highest

Measure = Literal["probability", "margin", "entropy"]
"""How sure a distribution is: log-probability of its likeliest token, difference of its two
highest probabilities, or the entropy in nats, negated. More is surer for all of them."""


def sureness(log_probs: Tensor, measure: Measure) -> Tensor:
    """How sure each distribution is, before any temperature.

    Args:
        log_probs: (B, L, V) normalised.
        measure: what is meant by sure.

    Returns:
        (B, L), the higher the surer.
    """
    if measure == "probability":
        return highest(log_probs)
    if measure == "margin":
        first, second = log_probs.topk(2).values.exp().unbind(-1)
        return first - second
    return -entropies(log_probs)


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
    """Entropies of normalised distributions, (N, V) to (N,), in nats and their type."""
    probability = log_probs.exp()
    terms: Tensor = torch.special.entr(probability, out=probability)
    return terms.sum(-1)


def sureness_of(drawn: Tensor, log_probs: Tensor, measure: Measure) -> Tensor:
    """How sure each distribution is of one token.

    The margin is to the likeliest other token, so that it is negative for all but the likeliest;
    the entropy says nothing of a single token and stays what it is.

    Args:
        drawn: (B, L) int64, any token where it does not matter.
        log_probs: (B, L, V) normalised.
        measure: what is meant by sure.

    Returns:
        (B, L), the higher the surer.
    """
    if measure == "entropy":
        return sureness(log_probs, measure)
    chosen = log_probs.gather(-1, drawn[..., None])[..., 0]
    if measure == "probability":
        return chosen
    top = log_probs.topk(2)
    other = torch.where(top.indices[..., 0] == drawn, top.values[..., 1], top.values[..., 0])
    return chosen.exp() - other.exp()


def ordered(score: Tensor, ties: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (B, L) from the highest on, and where each stands; ties fall as ``ties`` does.

    Args:
        score: (B, L).
        ties: (B, L) random numbers.
    """
    order = ties.argsort(-1)
    values, places = score.gather(-1, order).sort(dim=-1, descending=True, stable=True)
    return values, order.gather(-1, places)


def ranks(score: Tensor, ties: Tensor) -> Tensor:
    """Place of each entry in its row, 0 for the highest score; arguments as for `ordered`."""
    _, order = ordered(score, ties)
    places = torch.arange(score.shape[-1], device=score.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places)


def foremost(score: Tensor, ties: Tensor, quota: Tensor) -> Tensor:
    """Where so many of the highest scores stand, (B, L) bool; a quota (B,) below 0 is none.

    Args:
        score: as for `ordered`.
        ties: likewise.
        quota: how many of each row.
    """
    _, order = ordered(score, ties)
    first = torch.arange(score.shape[-1], device=score.device) < quota[:, None]
    return torch.empty_like(first).scatter_(-1, order, first)
