"""Objectives: what training minimises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from attrs import frozen

from aios_core.contracts import former
from aios_core.contracts.space import Space, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts.noise import NoiseScheduler
    from aios_core.contracts.process import TokenProcess
    from aios_core.contracts.randomness import Randomness


@frozen
class TrainingContext:
    """All that an objective may use besides the texts and the prediction."""

    noise: NoiseScheduler
    """The schedule that the network is trained under."""
    process: TokenProcess
    """The forward process likewise; it knows the vocabulary."""


@frozen(eq=False)
class Noisy:
    """What the network is asked in a step of training."""

    x0: Tensor
    """(B, L) int64 clean tokens, or (B, L, C) numbers."""
    z: Tensor
    """Likewise: what became of them; as they are where nothing is to be learned."""
    times: Tensor
    """(B, N) float64 in [0, 1]: when the blocks of a row are that noisy; N is 1 but for a network
    that is trained block by block."""
    targets: Tensor
    """(B, L) bool: what is noised and learned; elsewhere tokens are given, or padding."""
    weight: Tensor | None = None
    """(B, N) float64 by which the losses of a block count, for objectives that need it."""


class Prediction(Protocol):
    """What the network says of a noisy state, decoded only where it is asked for.

    With a large vocabulary logits of all positions would be most of the memory of a step, and much
    of its time.
    """

    def place(self, tensor: Tensor) -> Tensor:
        """A tensor on the device of the answers."""
        ...

    def losses(
        self, where: Tensor, loss: Callable[[Tensor, Tensor], Tensor] | None = None
    ) -> Tensor:
        """A loss at some positions, (B, L) nats; 0 elsewhere.

        Args:
            where: (B, L) bool.
            loss: from logits (N, V), in float32 at least and minus infinity for the mask, and clean
                tokens (N,) to nats (N,); None: -log p of the clean tokens.
        """
        ...

    def everywhere(self, loss: Callable[..., Tensor], *levels: Tensor) -> Tensor:
        """A loss of whole distributions, (B, L) nats; 0 where nothing is to be learned.

        Args:
            loss: called as ``loss(z, x0, log_probs, *levels)`` with some of the rows, as
                `Process.integrand` is; gives (rows, L).
            levels: (B,) each.
        """
        ...


class Objective(ABC):
    """A loss of a diffusion model, estimated with one noisy state a row.

    It draws what the network is asked, and scores the answer; the one call of the network between
    them is made by whoever trains, who may ask for several objectives at once. Most people write
    `score` alone. `aios_core.diffusion.bounds` has the objectives that the default ones are made
    of. It is for training alone: evaluation measures the bound of the likelihood, whatever was
    minimised.
    """

    spaces: ClassVar[tuple[type[Space], ...]] = (Vocabulary,)
    """Kinds of spaces that it serves."""

    absorbing_only: ClassVar[bool] = False
    """Whether it needs noise to be masks alone; False: it serves every corruption."""

    bound: ClassVar[bool] = True
    """Whether its mean over times and noise is a bound of -log p; the contract suite holds those
    that say so against the likelihood of an enumerated joint."""

    def __init_subclass__(cls, **settings: Any) -> None:
        """See `former`."""
        super().__init_subclass__(**settings)
        former.serve_objective(cls)

    def draw(
        self,
        x0: Tensor,
        targets: Tensor,
        times: Tensor,
        random: Randomness,
        context: TrainingContext,
    ) -> Noisy:
        """What the network is asked: here the state at the times that are given.

        Where noise is masks alone, the weight is that of the continuous-time bound.

        Args:
            x0: (B, L) int64 clean tokens.
            targets: (B, L) bool, what is noised and predicted; all else stays as it is.
            times: (B, N) float64, uniform in [0, 1] and stratified over the batch; N is 1, or the
                number of blocks of a network that is trained block by block.
            random: of the noise, a stream for each row, on the CPU.
            context: schedule and process.
        """
        times = times.to(x0.device).reshape(len(x0), -1)
        alpha = context.noise.alpha(times)
        z = corrupted(x0, targets, alpha, random, context)
        weight = context.noise.weight(times) if context.process.absorbing else None
        return Noisy(x0, z, times, targets, weight)

    @abstractmethod
    def score(self, noisy: Noisy, prediction: Prediction, context: TrainingContext) -> Tensor:
        """One estimate for each row.

        Args:
            noisy: what was drawn, on the device of the texts.
            prediction: of the clean tokens, by a network in training mode.
            context: schedule and process.

        Returns:
            (B,) nats: a sum over the positions of a row, never a mean over the masked ones.
        """


def corrupted(
    x0: Tensor, targets: Tensor, alpha: Tensor, random: Randomness, context: TrainingContext
) -> Tensor:
    """The noisy state at (B, N) survival probabilities; what is no target stays."""
    noised = targets if x0.ndim == targets.ndim else targets[..., None]
    return context.process.corrupt(x0, alpha, random).where(noised, x0)
