"""What training minimises, and bounds of the likelihood.

All estimators average over times and noisy states and bound -log p(x) from above, in nats a
sequence. They share one convention: a sum over positions, never a mean over the masked ones, for
the number of masks is itself random and correlated with the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from aios_core.component import blamed, named
from aios_core.contracts import Condition, Noisy, TrainingContext, former
from aios_core.diffusion.block_causal import two_streams
from aios_core.diffusion.bounds import Bound
from aios_core.diffusion.chunking import chunks
from aios_core.errors import PluginError

if TYPE_CHECKING:
    from torch import Generator

    from aios_core.contracts import Network, Objective, Prediction

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
        losses = estimate(model, x0, valid, times, generator, objective=objective)
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


def estimate(
    model: Network,
    x0: Tensor,
    valid: Tensor,
    times: Tensor,
    generator: Generator,
    *,
    objective: Objective,
) -> Tensor:
    """One estimate of an objective for each row, with one call of the network.

    Args:
        model: a diffusion model.
        x0: (B, L) int64 clean tokens.
        valid: (B, L) bool.
        times: (B, N) or (B,) float64 uniform in [0, 1].
        generator: of the noise, on the CPU.
        objective: draws what is asked, and scores the answer.

    Returns:
        (B,) nats.

    Raises:
        PluginError: it raised an error, or what it draws is not what is asked of a network.
    """
    if former.is_former_objective(objective):
        old: Any = objective
        with blamed(objective, "losses", within=model.made):
            losses: Tensor = old.losses(model, x0, valid, times, generator)
        return losses
    context = TrainingContext(model.noise, model.process)
    with blamed(objective, "draw"):
        noisy = objective.draw(x0, valid, times, generator, context)
    _check(noisy, x0, objective)
    with blamed(objective, "score", within=model.made):
        return objective.score(noisy, Answer(model, noisy), context)


def nelbo(model: Network, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator) -> Tensor:
    """One draw of the continuous-time bound for each row; see `Bound`.

    Args:
        model: a diffusion model.
        x0: as for `estimate`, like all the others.
        valid: see there.
        times: see there.
        generator: see there.

    Returns:
        (B,) nats.
    """
    context, bound = TrainingContext(model.noise, model.process), Bound()
    noisy = bound.draw(x0, valid, times, generator, context)
    return bound.score(noisy, Answer(model, noisy), context)


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


class Answer:
    """A `Prediction`: the states of a network for what it is asked, decoded a piece at a time.

    Args:
        model: is called once.
        noisy: what it is asked; on the CPU nothing waits for the model's device.
    """

    def __init__(self, model: Network, noisy: Noisy) -> None:
        self.model, self.noisy = model, noisy
        self.states = _states(model, noisy)
        """(B, L, D); those of blocks behind the clean text."""

    def place(self, tensor: Tensor) -> Tensor:
        """A tensor on the network's device."""
        return self.model.place(tensor)

    def losses(
        self, where: Tensor, loss: Callable[[Tensor, Tensor], Tensor] | None = None
    ) -> Tensor:
        """A loss at some positions, (B, L) nats; see `Prediction`."""
        of = self.model.losses if loss is None else partial(self._of_logits, loss)
        return _sum_where(self.model, self.states, self.noisy.x0, where, of)

    def _of_logits(
        self, loss: Callable[[Tensor, Tensor], Tensor], h: Tensor, targets: Tensor
    ) -> Tensor:
        return loss(self.model.logits(h[None])[0], targets)

    def everywhere(self, loss: Callable[..., Tensor], *levels: Tensor) -> Tensor:
        """A loss of whole distributions, (B, L) nats; see `Prediction`."""
        model, h = self.model, self.states
        rows = tuple(map(self.place, (self.noisy.z, self.noisy.x0, *levels)))

        def part(h: Tensor, z: Tensor, x0: Tensor, *levels: Tensor) -> Tensor:
            return loss(z, x0, model.log_probs(h), *levels)

        parts = list(chunks(len(h), h.shape[1] * model.vocabulary.size, LOGITS_AT_ONCE))
        given = [[tensor[p] for tensor in (h, *rows)] for p in parts]
        if len(parts) <= 1:
            losses = [part(*chunk) for chunk in given]
        else:  # logits are made again for their gradient: some time for most of the memory
            losses = [checkpoint(part, *chunk, use_reentrant=False) for chunk in given]
        return torch.cat(losses).masked_fill(~self.place(self.noisy.valid), 0)


def _check(noisy: object, x0: Tensor, objective: Objective) -> None:
    """Whether it is what a network may be asked.

    Raises:
        PluginError: it is not.
    """
    if not isinstance(noisy, Noisy):
        raise PluginError(f"{named(objective)} draws {type(noisy).__name__}; expected Noisy")
    if (noisy.z.shape, noisy.z.dtype) != (x0.shape, x0.dtype):
        raise PluginError(
            f"{named(objective)} draws {noisy.z.dtype} of shape {tuple(noisy.z.shape)}; expected "
            f"{x0.dtype} of shape {tuple(x0.shape)}"
        )
    if noisy.times.ndim != 2 or len(noisy.times) != len(x0):
        raise PluginError(
            f"{named(objective)} draws times of shape {tuple(noisy.times.shape)}; expected "
            f"({len(x0)}, N)"
        )


def _states(model: Network, noisy: Noisy) -> Tensor:
    """(B, L, D) states of z at its times, those of blocks behind the clean text."""
    z, valid = noisy.z, noisy.valid
    known = None if bool(valid.all()) else model.place(valid)  # full attention is faster
    if model.in_blocks:
        x0, times = model.place(noisy.x0), model.place(noisy.times)
        return two_streams(model, model.place(z), x0, times, known)
    condition = None if known is None else Condition(known)
    return model.states(model.place(z), model.place(noisy.times.reshape(len(z))), condition)


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


if TYPE_CHECKING:

    def _offers(answer: Answer) -> Prediction:
        return answer
