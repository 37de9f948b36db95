"""Score entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from aios_core.contracts import Objective
from aios_core.diffusion.objective import score_entropy

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from aios_core.contracts import Network


@frozen
class ScoreEntropy(Objective):
    """Logits as scores: ratios of probabilities, which nothing forces to add up (SEDD).

    Above ``nelbo`` by what the scores miss of their sum, and equal to it where they are a
    prediction's (SEDD, arXiv 2310.16834). Evaluation and samplers normalise them, which only lowers
    the bound. Under other noise than masks ``nelbo`` is score entropy, at the scores that the
    prediction stands for.
    """

    absorbing_only: ClassVar[bool] = True

    def losses(
        self, model: Network, x0: Tensor, valid: Tensor, times: Tensor, generator: Generator
    ) -> Tensor:
        """See `aios_core.diffusion.objective.score_entropy`."""
        return score_entropy(model, x0, valid, times, generator)
