"""Which positions a sampler fills in first: measures of how sure the network is, and ranks."""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor

from aios_core.diffusion.pieces import pieces

Measure = Literal["probability", "margin", "entropy"]
"""How sure a distribution is: log-probability of its likeliest token, difference of its two
highest probabilities, or the entropy in nats, negated. More is surer for all of them."""

_NOTHING: Final = -1e4
"""A logarithm whose exponential is 0; minus infinity times 0 is not a number."""


def sureness(log_probs: Tensor, measure: Measure) -> Tensor:
    """How sure each distribution is, before any temperature.

    Args:
        log_probs: (B, L, V) normalised.
        measure: what is meant by sure.

    Returns:
        (B, L), the higher the surer.
    """
    if measure == "probability":
        return log_probs.amax(-1)
    if measure == "margin":
        first, second = log_probs.topk(2).values.exp().unbind(-1)
        return first - second
    return -entropy(log_probs.flatten(0, 1)).view(log_probs.shape[:2])


def entropy(log_probs: Tensor, rows: Tensor | None = None) -> Tensor:
    """Entropy of distributions in nats.

    Args:
        log_probs: (N, V) normalised.
        rows: (M,) int64, those that are wanted; unset: all.

    Returns:
        (N,) or (M,), of the type of the log-probabilities.
    """
    found = log_probs.new_empty(len(log_probs) if rows is None else len(rows))
    for piece in pieces(len(found), log_probs.shape[-1]):
        some = log_probs[piece] if rows is None else log_probs[rows[piece]]
        some = some.clamp(min=_NOTHING)
        found[piece] = -(some.exp() * some).sum(-1)
    return found


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


def ranks(score: Tensor, ties: Tensor) -> Tensor:
    """Place of each entry in its row, 0 for the highest score; ties fall as ``ties`` does.

    Args:
        score: (B, L).
        ties: (B, L) random numbers.
    """
    order = ties.argsort(-1)
    order = order.gather(-1, score.gather(-1, order).argsort(dim=-1, descending=True, stable=True))
    places = torch.arange(score.shape[-1], device=score.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places)
