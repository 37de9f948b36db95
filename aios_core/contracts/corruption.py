"""Corruptions: what a token becomes that does not survive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from aios_core.contracts.space import Space, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts.process import Process


class Corruption(ABC):
    """A forward process: q(z | x) = alpha 1[z = x] + (1 - alpha) noise(alpha)[z] at each position.

    How fast alpha falls is the schedule's affair; what stands in the place of a token that did not
    survive is this one's. Write `noise`; corrupting, reverse steps, priors and the bounds of the
    likelihood follow from it (`aios_core.diffusion.process`).
    """

    spaces: ClassVar[tuple[type[Space], ...]] = (Vocabulary,)
    """Kinds of spaces that it serves."""

    absorbing: ClassVar[bool] = False
    """Whether the noise is the mask and nothing else. Then what is not masked is clean, which most
    samplers, guidance and constraints rely on."""

    @abstractmethod
    def noise(self, alpha: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Distribution of a token that did not survive, when tokens survive with probability alpha.

        For every token the odds (1 - alpha) / alpha * noise must not fall while alpha does, or no
        process would lead from one level of noise to the next. At alpha = 0 it is what sampling
        starts from.

        Args:
            alpha: (...) float64 in [0, 1]; the answer is differentiated in it.
            vocabulary: sizes and special ids of the tokenizer.

        Returns:
            (..., V) float64, each row a distribution.
        """

    def process(self, space: Space) -> Process | None:
        """The forward process on the states of a space.

        Args:
            space: what a position is.

        Returns:
            None, unless it is overridden: the process on tokens that follows from `noise`, and none
            on any other space. A corruption of numbers gives one of its own, with the same alpha: a
            number is sqrt(alpha) x + sqrt(1 - alpha) eps where a token survives with probability
            alpha, so that one schedule serves both; it refuses a vocabulary in `noise`.
        """
        return None
