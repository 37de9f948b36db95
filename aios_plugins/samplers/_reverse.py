"""What the samplers share that walk the reverse process of any corruption."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from attrs import frozen

from aios_core.contracts import Continuous, SamplingContext, StepSampler, Vocabulary
from aios_core.diffusion.process import levels, lift

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import TokenProcess


@frozen
class ReverseStep(StepSampler):
    """A step that lifts masks, or goes from the present state towards a clean draw."""

    exact: ClassVar[Literal["in the limit"]] = "in the limit"
    absorbing_only: ClassVar[bool] = False
    spaces: ClassVar = (Vocabulary, Continuous)

    def step(
        self, x: Tensor, t: Tensor, s: Tensor, log_probs: Tensor, context: SamplingContext
    ) -> Tensor:
        """Make some positions clean, all of them where s is 0."""
        process = context.process
        if process is None or process.absorbing:
            return lift(x, t, s, log_probs, context)
        alpha, earlier = levels(t, s, context)
        if isinstance(process.space, Continuous):
            x0 = log_probs  # what is sent is the mean of the clean numbers
        else:
            x0 = process.guess(x, log_probs, alpha, context)
        return self.towards(x, x0, (alpha, earlier), process, context)

    @abstractmethod
    def towards(
        self,
        x: Tensor,
        x0: Tensor,
        levels: tuple[Tensor, Tensor],
        process: TokenProcess,
        context: SamplingContext,
    ) -> Tensor:
        """The state at s, under noise that is not masks alone.

        Args:
            x: (B, L) int64, or (B, L, C) numbers: the state at t.
            x0: likewise: clean tokens that were drawn for every position, or the clean mean.
            levels: () float64 each, the probabilities of a token to survive to t and to s.
            process: of the noise.
            context: for draws; positions that are fixed stay as they are.
        """
