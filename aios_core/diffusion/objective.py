"""What training minimises, and bounds of the likelihood.

All estimators average over times and noisy states and bound -log p(x) from above, in nats a
sequence. They share one convention: a sum over positions, never a mean over the masked ones, for
the number of masks is itself random and correlated with the loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import torch
from torch.utils.checkpoint import checkpoint

from aios_core.contracts import Condition
from aios_core.diffusion.pieces import pieces

if TYPE_CHECKING:
    from collections.abc import Callable

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
    """One draw of the continuous-time bound for each row.

    The mean over uniform times of the relative entropy between the reverse processes of the data
    and of the model (`Process.integrand`). For masks that is w(t) times the cross-entropy summed
    over masked positions (MDLM, arXiv 2406.07524, eq. 10).

    Returns:
        (B,) nats.
    """
    times, noise = times.to(x0.device), model.noise
    alpha = noise.alpha(times)
    z = _corrupted(model, x0, valid, alpha, generator)
    if model.process.absorbing:
        return model.place(noise.weight(times)) * _cross_entropy(model, x0, z, times, valid)
    h = _states(model, z, times, valid)
    slope = noise.alpha_prime(times)
    return _sum_all(model, valid, model.process.integrand, h, (z, x0, alpha, slope))


def nelbo_discrete(
    model: Model, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator, *, steps: int
) -> Tensor:
    """One draw of the bound for ancestral sampling in T equal steps (D3PM, arXiv 2107.03006).

    Larger than `nelbo`, to which it falls as T grows. For masks it is w times the cross-entropy,
    with the weight of a whole step (MD4, arXiv 2406.04329).

    Args:
        model: a diffusion model.
        x0: (B, L) int64 clean tokens.
        valid: (B, L) bool.
        times: (B,) float64 uniform in [0, 1]; each decides a step.
        generator: of the noise, on the CPU.
        steps: T.

    Returns:
        (B,) nats.
    """
    t = (times.to(x0.device) * steps).floor().clamp(max=steps - 1) + 1
    now, before = t / steps, (t - 1) / steps
    alpha = model.noise.alpha(now)
    z = _corrupted(model, x0, valid, alpha, generator)
    if model.process.absorbing:
        rate, earlier = model.noise.mask_rate(now), model.noise.mask_rate(before)
        weight = steps * (rate - torch.where(before > 0, earlier, 0)) / rate
        return model.place(weight) * _cross_entropy(model, x0, z, now, valid)
    h, earlier = (
        _states(model, z, now, valid),
        torch.where(before > 0, model.noise.alpha(before), 1),
    )
    losses = _sum_all(model, valid, model.process.step_loss, h, (z, x0, alpha, earlier))
    return steps * losses


def nelbo_exact_count(
    model: Model, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator
) -> Tensor:
    """One draw of the bound with k of n tokens masked, k uniform in 1..n (LLaDA, arXiv 2502.09992).

    Its mean is that of `nelbo` over all of [0, 1] for every schedule, its variance lower.

    Args:
        model: a diffusion model whose noise is masks.
        x0: (B, L) int64 clean tokens.
        valid: (B, L) bool, at least one True a row.
        times: (B,) float64 uniform in [0, 1]; each decides a count.
        generator: of positions, on the CPU.

    Returns:
        (B,) nats.
    """
    n = valid.sum(-1).double()
    k = (times.to(x0.device) * n).floor().clamp(max=n - 1) + 1
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


def _corrupted(
    model: Model, x0: Tensor, valid: Tensor, alpha: Tensor, generator: Generator
) -> Tensor:
    """The noisy state; padding is not corrupted."""
    return torch.where(valid, model.process.corrupt(x0, alpha, generator), x0)


def _cross_entropy(model: Model, x0: Tensor, z: Tensor, times: Tensor, valid: Tensor) -> Tensor:
    """Cross-entropy of the clean tokens, summed over the masked positions of each row: (B,)."""
    h = _states(model, z, times, valid)
    return _sum_where(model, h, x0, z == model.vocabulary.mask_id)


def _states(model: Model, z: Tensor, times: Tensor, valid: Tensor) -> Tensor:
    condition = None if bool(valid.all()) else Condition(model.place(valid))  # full is faster
    return model.states(model.place(z), model.place(times), condition)


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


def _sum_all(
    model: Model,
    valid: Tensor,
    loss: Callable[..., Tensor],
    h: Tensor,
    rows: tuple[Tensor, ...],
) -> Tensor:
    """A loss of `Process` by the states h, summed over each row: (B,).

    Args:
        model: decodes the states.
        valid: (B, L) bool.
        loss: a function of z, x0, log-probabilities and two levels of noise.
        h: (B, L, D).
        rows: z, x0 and the levels.
    """
    rows = tuple(model.place(one) for one in rows)

    def part(h: Tensor, z: Tensor, x0: Tensor, *levels: Tensor) -> Tensor:
        return loss(z, x0, model.log_probs(h), *levels)

    parts = list(pieces(len(h), h.shape[1] * model.vocabulary.size, LOGITS_AT_ONCE))
    given = [[one[p] for one in (h, *rows)] for p in parts]
    if len(parts) <= 1:
        losses = [part(*one) for one in given]
    else:  # as above
        losses = [checkpoint(part, *one, use_reentrant=False) for one in given]
    return torch.cat(losses).masked_fill(~model.place(valid), 0).sum(-1)
