"""At which times a network is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from aios_core.contracts import NoiseScheduler


def draw_times(
    batch: int,
    generator: Generator,
    kind: Literal["stratified", "iid"] = "stratified",
    epsilon: float = 1e-4,
) -> Tensor:
    """Times in [epsilon, 1] for a batch.

    Stratified times hold one in each of B equal strata, in random order, so that each row's time
    is uniform by itself while their mean hardly varies (VDM, arXiv 2107.00630). With several
    batches a step draw all their times at once and share them out.

    Args:
        batch: B, the number of times.
        generator: source of randomness, on the CPU.
        kind: ``"stratified"`` or ``"iid"``.
        epsilon: smallest time; the mean over [epsilon, 1] differs from that over [0, 1] by about
            this fraction.

    Returns:
        (B,) float64 on the CPU.
    """
    u = torch.rand(batch, generator=generator, dtype=torch.float64)
    if kind == "stratified":
        u = (torch.randperm(batch, generator=generator) + u) / batch
    return epsilon + (1 - epsilon) * u


def clip_times(times: Tensor, noise: NoiseScheduler, mask_rates: tuple[float, float]) -> Tensor:
    """Times moved to where the mask rate lies within bounds: BD3-LM's clipped schedules.

    For training alone (arXiv 2503.09573, section 5): a mean over part of the times is no bound.

    Args:
        times: (B,) float64 from `draw_times`; uniform in [0, 1] gives uniform between the bounds.
        noise: the schedule.
        mask_rates: lowest and highest; (0, 1) changes nothing.

    Returns:
        (B,) float64.
    """
    if mask_rates == (0.0, 1.0):
        return times
    low, high = noise.inverse(1 - torch.tensor(mask_rates, dtype=torch.float64))
    clipped: Tensor = low + (high - low) * times
    return clipped
