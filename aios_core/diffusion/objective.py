"""What training minimises, and bounds of the likelihood.

All estimators average over times and noisy states and bound -log p(x) from above, in nats a
sequence. They share one convention: a sum over masked positions, never a mean over them, for the
number of masks is itself random and correlated with the loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import torch
from torch.utils.checkpoint import checkpoint

from aios_core.contracts import Condition
from aios_core.diffusion.pieces import pieces

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from aios_core.contracts import NoiseScheduler
    from aios_core.diffusion.model import Model

LOGITS_AT_ONCE: Final = 1 << 30
"""Most logits held at a time: 2 GiB as bfloat16."""


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


def training_loss(
    model: Model, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator
) -> Tensor:
    """Nats a token: the NELBO for a diffusion model, next-token loss for the twin.

    Args:
        model: in training mode.
        x0: (B, L) int64 clean tokens; on the CPU nothing waits for the model's device.
        valid: (B, L) bool, False at padding, which is neither corrupted nor predicted.
        times: (B,) float64 from `draw_times`; of no use to the twin.
        generator: of the noise, on the CPU.

    Returns:
        () scalar: the sum over the batch divided by its number of valid tokens.
    """
    if model.mode == "ar":
        losses = nll(model, x0, valid)
    else:
        losses = nelbo(model, x0, valid, times, generator)
    return losses.sum() / model.place(valid.sum())


def nelbo(model: Model, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator) -> Tensor:
    """One draw of the continuous-time bound for each row (MDLM, arXiv 2406.07524, eq. 10).

    The mean over uniform times of w(t) times the cross-entropy summed over masked positions.

    Returns:
        (B,) nats.
    """
    times = times.to(x0.device)
    z = model.corruption.corrupt(x0, model.noise.alpha(times), generator)
    z = torch.where(valid, z, x0)
    weight = model.place(model.noise.weight(times))
    return weight * _cross_entropy(model, x0, z, times, valid)


def nelbo_discrete(
    model: Model, x0: Tensor, valid: Tensor, steps: int, generator: Generator
) -> Tensor:
    """One draw of the bound for ancestral sampling in T equal steps (MD4, arXiv 2406.04329).

    Larger than `nelbo`, to which it falls as T grows.

    Args:
        model: a diffusion model.
        x0: (B, L) int64 clean tokens.
        valid: (B, L) bool.
        steps: T.
        generator: of times and noise, on the CPU.

    Returns:
        (B,) nats.
    """
    t = (draw_times(len(x0), generator, epsilon=0.0) * steps).floor().clamp(max=steps - 1) + 1
    rate, earlier = (model.noise.mask_rate((t - back) / steps) for back in (0, 1))
    z = model.corruption.corrupt(x0, 1 - rate, generator)
    z = torch.where(valid, z, x0)
    weight = steps * (rate - earlier) / rate
    times = (t / steps).to(x0.device)
    return model.place(weight) * _cross_entropy(model, x0, z, times, valid)


def nelbo_exact_count(model: Model, x0: Tensor, valid: Tensor, generator: Generator) -> Tensor:
    """One draw of the bound with k of n tokens masked, k uniform in 1..n (LLaDA, arXiv 2502.09992).

    Its mean is that of `nelbo` over all of [0, 1] for every schedule, its variance lower.

    Args:
        model: a diffusion model.
        x0: (B, L) int64 clean tokens.
        valid: (B, L) bool, at least one True a row.
        generator: of counts and positions, on the CPU.

    Returns:
        (B,) nats.
    """
    n = valid.sum(-1).double()
    u = draw_times(len(x0), generator, epsilon=0.0).to(x0.device)
    k = (u * n).floor() + 1
    score = torch.rand(x0.shape, generator=generator, dtype=torch.float64).to(x0.device)
    rank = score.masked_fill(~valid, torch.inf).argsort(-1).argsort(-1)
    z = torch.where(rank < k[:, None], model.vocabulary.mask_id, x0)
    times = model.noise.inverse(1 - k / n)
    return model.place(n / k) * _cross_entropy(model, x0, z, times, valid)


def nll(model: Model, x0: Tensor, valid: Tensor) -> Tensor:
    """Exact -log p of each row under an autoregressive model.

    Position i is predicted from ``[bos, x_0 .. x_(i-1)]``, so the first token is predicted from
    the bos token alone and the sum is the likelihood of the whole row.

    Args:
        model: an autoregressive model.
        x0: (B, L) int64 clean tokens.
        valid: (B, L) bool; padding stands at the end of a row, where no token sees it.

    Returns:
        (B,) nats.
    """
    bos = x0.new_full((len(x0), 1), model.vocabulary.bos_id)
    h = model.states(model.place(torch.cat((bos, x0[:, :-1]), 1)))
    return _sum_where(model, h, x0, valid)


def _cross_entropy(model: Model, x0: Tensor, z: Tensor, times: Tensor, valid: Tensor) -> Tensor:
    """Cross-entropy of the clean tokens, summed over the masked positions of each row: (B,)."""
    condition = None if bool(valid.all()) else Condition(model.place(valid))  # full is faster
    h = model.states(model.place(z), model.place(times), condition)
    return _sum_where(model, h, x0, z == model.vocabulary.mask_id)


def _sum_where(model: Model, h: Tensor, x0: Tensor, where: Tensor) -> Tensor:
    """-log p(x0) of the states h, summed over the chosen positions of each row: (B,)."""
    chosen = where.flatten().nonzero()[:, 0]
    targets = model.place(x0.flatten()[chosen])
    chosen = model.place(chosen)
    states = h.flatten(0, 1)[chosen]
    parts = list(pieces(len(states), model.vocabulary.size, LOGITS_AT_ONCE))
    if len(parts) <= 1:
        losses = model.losses(states, targets)
    else:  # logits are made again for their gradient: some time for most of the memory
        losses = torch.cat(
            [checkpoint(model.losses, states[p], targets[p], use_reentrant=False) for p in parts]
        )
    return losses.new_zeros(x0.numel()).index_put((chosen,), losses).view(x0.shape).sum(-1)
