"""What training minimises, and bounds of the likelihood.

All estimators average over times and noisy states and bound -log p(x) from above, in nats a
sequence. They share one convention: a sum over positions, never a mean over the masked ones, for
the number of masks is itself random and correlated with the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import torch
from attrs import evolve
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from aios_core.component import blamed, named
from aios_core.contracts import Noisy, TrainingContext, former
from aios_core.diffusion.block_causal import two_streams
from aios_core.diffusion.bounds import Bound
from aios_core.diffusion.chunking import chunks
from aios_core.errors import PluginError

if TYPE_CHECKING:
    from aios_core.contracts import (
        Network,
        Objective,
        Prediction,
        Process,
        Randomness,
        Sequences,
    )

Losses = Callable[[Tensor, Tensor], Tensor]
"""From states (N, D) and their clean tokens (N,) to nats (N,)."""
LOGITS_AT_ONCE: Final = 1 << 30
"""Most logits held at a time: 2 GiB as bfloat16."""


def training_loss(
    model: Network,
    sequences: Sequences,
    times: Tensor,
    random: Randomness,
    *,
    objective: Objective | None = None,
) -> Tensor:
    """Nats a token of a step's only batch, with the gradient of a schedule that learns.

    Args:
        model: as for `training_losses`, like all the others.
        sequences: see there.
        times: see there.
        random: see there.
        objective: see there.

    Returns:
        () scalar: the sum over the batch divided by its number of tokens, `Sequences.sizes`.

    Raises:
        PluginError: a component raised an error, or its answer has another shape or type.
    """
    losses = training_losses(model, sequences, times, random, objective=objective)
    loss: Tensor = losses.sum() / model.place(sequences.sizes.sum())
    surprise = surprise_of(model, times, losses.detach())
    return loss if surprise is None else loss + (surprise - surprise.detach())


def training_losses(
    model: Network,
    sequences: Sequences,
    times: Tensor,
    random: Randomness,
    *,
    objective: Objective | None = None,
) -> Tensor:
    """Nats of each sequence: an objective for a diffusion model, next-token loss for the twin.

    Args:
        model: in training mode.
        sequences: on the CPU nothing waits for the model's device.
        times: (B, N) float64 from `draw_times`, N for each sequence; of no use to the twin.
        random: of the noise, a stream for each sequence, on the CPU.
        objective: what is minimised; unset: the NELBO.

    Returns:
        (B,) of which training minimises the sum, divided by the number of tokens.

    Raises:
        PluginError: a component raised an error, or its answer has another shape or type.
    """
    rows = len(sequences)
    if model.mode == "ar":
        return nll(model, sequences)
    if objective is None:
        return nelbo(model, sequences, times, random)
    losses = estimate(model, sequences, times, random, objective=objective)
    if losses.shape != (rows,) or not losses.is_floating_point():
        raise PluginError(
            f"{named(objective)} gives losses of {losses.dtype} and shape "
            f"{tuple(losses.shape)}; expected floating-point numbers of shape {(rows,)}"
        )
    return losses


def surprise_of(model: Network, times: Tensor, losses: Tensor) -> Tensor | None:
    """What teaches the schedule of a model; None: it does not learn.

    It depends on all rows of a step at once, so it is asked for once a step, whatever the number
    of forward passes.

    Args:
        model: with its schedule.
        times: (B, N) float64 of all rows of the step.
        losses: (B,) nats of these, without gradient.

    Returns:
        () whose gradient is taken, and whose value is not.
    """
    if model.mode == "ar":
        return None
    return model.noise.surprise(times.reshape(len(losses), -1), losses)


def estimate(
    model: Network,
    sequences: Sequences,
    times: Tensor,
    random: Randomness,
    *,
    objective: Objective,
) -> Tensor:
    """One estimate of an objective for each sequence, with one call of the network.

    What a sequence gives is seen as it is: the estimate is of its targets given that.

    Args:
        model: a diffusion model.
        sequences: B of them.
        times: (B, N) or (B,) float64 uniform in [0, 1].
        random: of the noise, a stream for each sequence, on the CPU.
        objective: draws what is asked, and scores the answer.

    Returns:
        (B,) nats.

    Raises:
        PluginError: it raised an error, or what it draws is not what is asked of a network.
    """
    if former.is_former_objective(objective):
        return _former(model, sequences, times, random, objective)
    context, x0 = TrainingContext(model.noise, model.process), sequences.ids
    with blamed(objective, "draw"):
        noisy = objective.draw(x0, sequences.targets, times, random, context)
    _check(noisy, x0, objective)
    with blamed(objective, "score", within=model.made):
        answer = Answer(model, noisy, _states(model, noisy, sequences))
        return objective.score(noisy, answer, context)


def nelbo(model: Network, sequences: Sequences, times: Tensor, random: Randomness) -> Tensor:
    """One draw of the continuous-time bound for each sequence; see `Bound`.

    It is of the targets of a sequence given the rest of it.

    Args:
        model: a diffusion model.
        sequences: as for `estimate`, like all the others.
        times: see there.
        random: see there.

    Returns:
        (B,) nats.
    """
    context, bound = TrainingContext(model.noise, model.process), Bound()
    noisy = bound.draw(sequences.ids, sequences.targets, times, random, context)
    return bound.score(noisy, Answer(model, noisy, _states(model, noisy, sequences)), context)


def nll(model: Network, sequences: Sequences) -> Tensor:
    """Exact -log p of the targets of each sequence under an autoregressive model.

    Position i is predicted from ``[bos, x_0 .. x_(i-1)]`` of its row, so the first token is
    predicted from the bos token alone and the sum is the likelihood of the whole row.

    Args:
        model: an autoregressive model.
        sequences: padding stands at the end, where no token sees it.

    Returns:
        (B,) nats.
    """
    ids, condition = sequences.ids, None
    before = torch.cat((ids[:, :1], ids[:, :-1]), 1)
    if sequences.rows is None or sequences.positions is None:
        first = torch.zeros_like(ids[:, :1])
        before = torch.cat((first + model.vocabulary.bos_id, before[:, 1:]), 1)
    else:
        before = before.where(sequences.positions > 0, model.vocabulary.bos_id)
        condition = sequences.condition(model.place)
        assert condition.mask is not None
        condition = evolve(condition, mask=condition.mask.tril())
    h = model.states(model.place(before), None, condition)
    return _sum_where(model, h, ids, sequences.targets, model.losses).sum(-1)


def _former(
    model: Network, sequences: Sequences, times: Tensor, random: Randomness, objective: Any
) -> Tensor:
    """An objective of the former form, which knows nothing of given tokens.

    Raises:
        PluginError: there are some.
    """
    if sequences.rows is not None or not torch.equal(sequences.targets, sequences.valid):
        raise PluginError(
            f"{named(objective)} writes losses(...), which cannot keep given tokens clean, as the "
            "begin token of a row; expected draw and score, or diffusion.packing = 'stream'"
        )
    generator = torch.Generator().manual_seed(int(random.uniform()[0, 0] * 2**53))
    with blamed(objective, "losses", within=model.made):
        losses: Tensor = objective.losses(model, sequences.ids, sequences.valid, times, generator)
    return losses


class Decoder(Protocol):
    """What is needed of a network, or of one of its parts, to score its states."""

    @property
    def process(self) -> Process:
        """The forward process of what is decoded."""
        ...

    def place(self, tensor: Tensor) -> Tensor:
        """A tensor on its device."""
        ...

    def logits(self, h: Tensor) -> Tensor:
        """Logits (..., V) of states (..., D)."""
        ...

    def log_probs(self, h: Tensor) -> Tensor:
        """Log-probabilities (..., V) of states (..., D), or means (..., C) of clean numbers."""
        ...

    def losses(self, h: Tensor, targets: Tensor) -> Tensor:
        """-log p in nats (N,) of tokens (N,) by states (N, D)."""
        ...


class Answer:
    """A `Prediction`: the states of a network for what it is asked, decoded a piece at a time.

    Args:
        model: decodes them.
        noisy: what it was asked; on the CPU nothing waits for the model's device.
        states: (B, L, D); those of blocks behind the clean text.
    """

    def __init__(self, model: Decoder, noisy: Noisy, states: Tensor) -> None:
        self.model, self.noisy, self.states = model, noisy, states

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

        parts = list(chunks(len(h), h.shape[1] * model.process.space.width, LOGITS_AT_ONCE))
        given = [[tensor[p] for tensor in (h, *rows)] for p in parts]
        if len(parts) <= 1:
            losses = [part(*chunk) for chunk in given]
        else:  # logits are made again for their gradient: some time for most of the memory
            losses = [checkpoint(part, *chunk, use_reentrant=False) for chunk in given]
        return torch.cat(losses).masked_fill(~self.place(self.noisy.targets), 0)


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


def _states(model: Network, noisy: Noisy, sequences: Sequences) -> Tensor:
    """(B, L, D) states of z at its times, those of blocks behind the clean text."""
    z, condition = model.place(noisy.z), sequences.condition(model.place)
    if model.in_blocks:
        x0, times = model.place(noisy.x0), model.place(noisy.times)
        return two_streams(model, z, x0, times, condition)
    return model.states(z, model.place(noisy.times.reshape(len(z))), condition)


def _sum_where(model: Decoder, h: Tensor, x0: Tensor, where: Tensor, loss: Losses) -> Tensor:
    """A loss of x0 by the states h at the chosen positions, 0 elsewhere: (B, L)."""
    chosen = where.flatten().nonzero()[:, 0]
    targets = model.place(x0.flatten()[chosen])
    chosen = model.place(chosen)
    states = h.flatten(0, 1)[chosen]
    parts = list(chunks(len(states), model.process.space.width, LOGITS_AT_ONCE))
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
