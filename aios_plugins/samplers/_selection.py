"""Which positions a sampler fills in first: measures of how sure the network is, and ranks."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from aios_core.diffusion.entropies import entropies
from aios_core.tensor_cache import highest

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
    """Place of each entry in its row, 0 for the highest score; arguments as for `ordered`.

    Examples:
        >>> ranks(torch.tensor([[0.1, 0.9, 0.1]]), torch.tensor([[0.7, 0.5, 0.2]]))
        tensor([[2, 0, 1]])
    """
    _, order = ordered(score, ties)
    places = torch.arange(score.shape[-1], device=score.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places)


def foremost(score: Tensor, ties: Tensor, quota: Tensor) -> Tensor:
    """Where so many of the highest scores stand, (B, L) bool; a quota (B,) below 0 is none.

    Args:
        score: as for `ordered`.
        ties: likewise.
        quota: how many of each row.

    Examples:
        >>> score = torch.tensor([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5]])
        >>> foremost(score, torch.rand(2, 3), torch.tensor([1, 2]))
        tensor([[False,  True, False],
                [False,  True,  True]])
    """
    _, order = ordered(score, ties)
    first = torch.arange(score.shape[-1], device=score.device) < quota[:, None]
    return torch.empty_like(first).scatter_(-1, order, first)
