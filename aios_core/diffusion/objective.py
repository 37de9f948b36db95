"""What training minimises, and bounds of the likelihood.

All estimators average over times and noisy states and bound -log p(x) from above, in nats a
sequence. They share one convention: a sum over positions, never a mean over the masked ones, for
the number of masks is itself random and correlated with the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from aios_core.component import blamed, named
from aios_core.contracts import Condition
from aios_core.diffusion.block_causal import two_streams
from aios_core.diffusion.chunking import chunks
from aios_core.errors import PluginError

if TYPE_CHECKING:
    from torch import Generator

    from aios_core.contracts import Network, Objective

Losses = Callable[[Tensor, Tensor], Tensor]
"""From states (N, D) and their clean tokens (N,) to nats (N,)."""
LOGITS_AT_ONCE: Final = 1 << 30
"""Most logits held at a time: 2 GiB as bfloat16."""


def training_loss(
    model: Network,
    x0: Tensor,
    valid: Tensor,
    times: Tensor,
    generator: Generator,
    *,
    objective: Objective | None = None,
) -> Tensor:
    """Nats a token: an objective for a diffusion model, next-token loss for the twin.

    Args:
        model: in training mode.
        x0: (B, L) int64 clean tokens; on the CPU nothing waits for the model's device.
        valid: (B, L) bool, False at padding, which is neither corrupted nor predicted.
        times: (B, N) float64 from `draw_times`, N for each row; of no use to the twin.
        generator: of the noise, on the CPU.
        objective: what is minimised; unset: the NELBO.

    Returns:
        () scalar: the sum over the batch divided by its number of valid tokens.

    Raises:
        PluginError: a component raised an error, or its answer has another shape or type.
    """
    if model.mode == "ar":
        losses = nll(model, x0, valid)
    elif objective is None:
        losses = nelbo(model, x0, valid, times, generator)
    else:
        with blamed(objective, "losses", within=model.made):
            losses = objective.losses(model, x0, valid, times, generator)
        if losses.shape != (len(x0),) or not losses.is_floating_point():
            raise PluginError(
                f"{named(objective)} gives losses of {losses.dtype} and shape "
                f"{tuple(losses.shape)}; expected floating-point numbers of shape {(len(x0),)}"
            )
    loss: Tensor = losses.sum() / model.place(valid.sum())
    if model.mode == "diffusion":
        surprise = model.noise.surprise(times.reshape(len(x0), -1), losses.detach())
        if surprise is not None:  # its gradient, not its value
            loss = loss + (surprise - surprise.detach())
    return loss


def nelbo(model: Network, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator) -> Tensor:
    """One draw of the continuous-time bound for each row.

    The mean over uniform times of the relative entropy between the reverse processes of the data
    and of the model (`Process.integrand`). For masks that is w(t) times the cross-entropy summed
    over masked positions (MDLM, arXiv 2406.07524, eq. 10). With a time for each of N blocks it is
    the sum over blocks of what each adds, given those before it (BD3-LM, arXiv 2503.09573, eq. 8).

    Args:
        model: a diffusion model.
        x0: (B, L) int64 clean tokens.
        valid: (B, L) bool.
        times: (B, N) or (B,) float64 uniform in [0, 1].
        generator: of the noise, on the CPU.

    Returns:
        (B,) nats.
    """
    if model.process.absorbing:
        return _masked(model, x0, valid, times, generator, losses=model.losses)
    times, noise = times.to(x0.device).reshape(-1), model.noise
    alpha = noise.alpha(times)
    z = _corrupted(model, x0, valid, alpha, generator)
    h, slope = _states(model, x0, z, times, valid), noise.alpha_prime(times)
    return _sum_all(model, valid, model.process.integrand, h, (z, x0, alpha, slope))


def score_entropy(
    model: Network, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator
) -> Tensor:
    """One draw of score entropy for each row (SEDD, arXiv 2310.16834, eq. 9).

    With r = 1 / (exp(sigma) - 1) and logits l, a mask's scores are s_y = r exp(l_y) / (V - 1), and
    the loss is sigma' (sum of s_y - r log s_x0 + r (log r - 1)). Let Z be the sum of
    exp(l_y) / (V - 1): that is w(t) (Z - 1 - l_x0 + log(V - 1)), which is at least w(t) times the
    cross-entropy, and equal where Z = 1.

    Args:
        model: a diffusion model whose noise is masks.
        x0: as for `nelbo`, like all the others.
        valid: see there.
        times: see there.
        generator: see there.

    Returns:
        (B,) nats.
    """

    def losses(h: Tensor, targets: Tensor) -> Tensor:
        logits = model.logits(h[None])[0] - math.log(model.vocabulary.size - 1)
        return logits.exp().sum(-1) - 1 - logits.gather(-1, targets[:, None])[:, 0]

    return _masked(model, x0, valid, times, generator, losses=losses)


def nelbo_discrete(
    model: Network, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator, *, steps: int
) -> Tensor:
    """One draw of the bound for ancestral sampling in T equal steps (D3PM, arXiv 2107.03006).

    Larger than `nelbo`, to which it falls as T grows. For masks it is w times the cross-entropy,
    with the weight of a whole step (MD4, arXiv 2406.04329).

    Args:
        model: a diffusion model.
        x0: (B, L) int64 clean tokens.
        valid: (B, L) bool.
        times: (B, N) or (B,) float64 uniform in [0, 1]; each decides a step.
        generator: of the noise, on the CPU.
        steps: T.

    Returns:
        (B,) nats.
    """
    t = (times.to(x0.device).reshape(len(x0), -1) * steps).floor().clamp(max=steps - 1) + 1
    now, before = t / steps, (t - 1) / steps
    if model.process.absorbing:
        z = _corrupted(model, x0, valid, model.noise.alpha(now), generator)
        rate, earlier = model.noise.mask_rate(now), model.noise.mask_rate(before)
        weight = steps * (rate - torch.where(before > 0, earlier, 0)) / rate
        weight = torch.where(rate > 0, weight, 0)  # where nothing is masked it may be 0 / 0
        return _cross_entropy(model, x0, z, now, valid, weight=weight)
    now, before = now[:, 0], before[:, 0]
    alpha, earlier = model.noise.alpha(now), torch.where(before > 0, model.noise.alpha(before), 1)
    z = _corrupted(model, x0, valid, alpha, generator)
    h = _states(model, x0, z, now, valid)
    return steps * _sum_all(model, valid, model.process.step_loss, h, (z, x0, alpha, earlier))


def nelbo_exact_count(
    model: Network, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator
) -> Tensor:
    """One draw of the bound with k of n tokens masked, k uniform in 1..n (LLaDA, arXiv 2502.09992).

    Its mean is that of `nelbo` over all of [0, 1] for every schedule, its variance lower. In blocks
    k of n are masked in each.

    Args:
        model: a diffusion model whose noise is masks.
        x0: (B, L) int64 clean tokens.
        valid: (B, L) bool.
        times: (B, N) or (B,) float64 uniform in [0, 1]; each decides a count.
        generator: of positions, on the CPU.

    Returns:
        (B,) nats.
    """
    u = times.to(x0.device).reshape(len(x0), -1)
    inside = valid.view(*u.shape, -1)
    n = inside.sum(-1).double()
    k = (u * n).floor().clamp(max=n - 1) + 1
    score = torch.rand(x0.shape, generator=generator, dtype=torch.float64).to(x0.device)
    rank = score.view(inside.shape).masked_fill(~inside, torch.inf).argsort(-1).argsort(-1)
    hidden = (rank < k[..., None]).view(x0.shape) & valid
    z = torch.where(hidden, model.vocabulary.mask_id, x0)
    share = torch.where(n > 0, k / n, 1)
    times = model.noise.inverse(1 - share)
    return _cross_entropy(model, x0, z, times, valid, weight=1 / share)


def nll(model: Network, x0: Tensor, valid: Tensor) -> Tensor:
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
    return _sum_where(model, h, x0, valid, model.losses).sum(-1)


def _corrupted(
    model: Network, x0: Tensor, valid: Tensor, alpha: Tensor, generator: Generator
) -> Tensor:
    """The noisy state at (B,) or (B, N) survival probabilities; padding is not corrupted."""
    blocks = x0.reshape(alpha.numel(), -1)
    z = model.process.corrupt(blocks, alpha.flatten(), generator).view(x0.shape)
    return torch.where(valid, z, x0)


def _masked(
    model: Network,
    x0: Tensor,
    valid: Tensor,
    times: Tensor,
    generator: Generator,
    *,
    losses: Losses,
) -> Tensor:
    """A loss of masked positions times w(t), at times (B, N): (B,)."""
    times = times.to(x0.device).reshape(len(x0), -1)
    z = _corrupted(model, x0, valid, model.noise.alpha(times), generator)
    return _cross_entropy(
        model, x0, z, times, valid, weight=model.noise.weight(times), losses=losses
    )


def _cross_entropy(
    model: Network,
    x0: Tensor,
    z: Tensor,
    times: Tensor,
    valid: Tensor,
    *,
    weight: Tensor,
    losses: Losses | None = None,
) -> Tensor:
    """Cross-entropy, or another loss, of the masked positions, weighted by block: (B,)."""
    h = _states(model, x0, z, times, valid)
    found = _sum_where(model, h, x0, z == model.vocabulary.mask_id, losses or model.losses)
    return (model.place(weight) * found.view(*weight.shape, -1).sum(-1)).sum(-1)


def _states(model: Network, x0: Tensor, z: Tensor, times: Tensor, valid: Tensor) -> Tensor:
    """(B, L, D) states of z at times (B,) or (B, N), those of blocks behind the clean text."""
    known = None if bool(valid.all()) else model.place(valid)  # full attention is faster
    if model.in_blocks:
        return two_streams(model, model.place(z), model.place(x0), model.place(times), known)
    condition = None if known is None else Condition(known)
    return model.states(model.place(z), model.place(times.reshape(len(z))), condition)


def _sum_where(model: Network, h: Tensor, x0: Tensor, where: Tensor, loss: Losses) -> Tensor:
    """A loss of x0 by the states h at the chosen positions, 0 elsewhere: (B, L)."""
    chosen = where.flatten().nonzero()[:, 0]
    targets = model.place(x0.flatten()[chosen])
    chosen = model.place(chosen)
    states = h.flatten(0, 1)[chosen]
    parts = list(chunks(len(states), model.vocabulary.size, LOGITS_AT_ONCE))
    if len(parts) <= 1:
        losses = loss(states, targets)
    else:  # logits are made again for their gradient: some time for most of the memory
        losses = torch.cat(
            [checkpoint(loss, states[p], targets[p], use_reentrant=False) for p in parts]
        )
    return losses.new_zeros(x0.numel()).index_put((chosen,), losses).view(x0.shape)


def _sum_all(
    model: Network,
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

    parts = list(chunks(len(h), h.shape[1] * model.vocabulary.size, LOGITS_AT_ONCE))
    given = [[one[p] for one in (h, *rows)] for p in parts]
    if len(parts) <= 1:
        losses = [part(*one) for one in given]
    else:  # as above
        losses = [checkpoint(part, *one, use_reentrant=False) for one in given]
    return torch.cat(losses).masked_fill(~model.place(valid), 0).sum(-1)
