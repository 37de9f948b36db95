"""Gaussian noise of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from aios_core.contracts import Continuous, Corruption
from aios_core.diffusion.gaussian import GaussianProcess
from aios_core.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Process, Space, Vocabulary


@frozen
class Gaussian(Corruption):
    """A number becomes sqrt(alpha) x + sqrt(1 - alpha) eps (VDM, arXiv 2107.00630).

    alpha is that of the tokens: where one survives with probability alpha, the clean part of a
    number is alpha of its variance. So one schedule serves both, and bounds in nats add up.
    """

    spaces: ClassVar = (Continuous,)

    def noise(self, alpha: Tensor, vocabulary: Vocabulary) -> Tensor:
        """There is none on tokens.

        Raises:
            PluginError: always.
        """
        raise PluginError(
            "corruption gaussian is for numbers; expected a continuous space, got a vocabulary"
        )

    def process(self, space: Space) -> Process | None:
        """Gaussian noise in each channel by itself; None for tokens."""
        return GaussianProcess(self, space) if isinstance(space, Continuous) else None
