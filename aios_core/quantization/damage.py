"""What a layer loses when its weight changes: the measure by which plans share out bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Statistics


def damage(weight: Tensor, changed: Tensor, statistics: Statistics | None = None) -> float:
    """The part of the squared norm of a layer's outputs that is lost.

    ``tr(E M E^T) / tr(W M W^T)`` with the error E and the second moment M of the inputs.

    Args:
        weight: W, (rows, columns).
        changed: what takes its place.
        statistics: of the inputs; None: inputs that are uncorrelated and all as large.

    Returns:
        0 for no change; 0 too for a layer whose outputs are zero.
    """
    weight = weight.detach().float()
    power = _power(weight)
    both = tuple(torch.ldexp(x, power) for x in (weight - changed.to(weight), weight))
    if statistics is None:
        lost, whole = (float(x.square().sum()) for x in both)
    else:
        moment = statistics.second_moment.to(weight)
        moment = torch.ldexp(moment, _power(moment))
        lost, whole = (float((x @ moment).mul_(x).sum()) for x in both)
    return max(lost, 0.0) / whole if whole > 0 else 0.0


def _power(x: Tensor) -> Tensor:
    """The power of two that brings the largest number near 1: squares of tiny ones are zeros."""
    largest = x.abs().amax() if x.numel() else x.new_zeros(())
    return -torch.frexp(largest).exponent.clamp(-126, 126)
