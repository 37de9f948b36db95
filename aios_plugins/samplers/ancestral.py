"""The ancestral sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from attrs import frozen

from aios_core.contracts import SamplingContext, StepSampler
from aios_core.diffusion.process import levels, lift

if TYPE_CHECKING:
    from torch import Tensor


@frozen
class Ancestral(StepSampler):
    """Walk the reverse process, whatever the corruption.

    From t to s a mask is lifted with probability (alpha(s) - alpha(t)) / (1 - alpha(t)), and
    then a token is drawn (D3PM, arXiv 2107.03006; MDLM, arXiv 2406.07524). Under other noise a
    clean token is drawn at every position, and then the state at s between it and the present one
    (UDLM, arXiv 2412.10193). What happens in one step is drawn independently, so the error falls
    as 1 / steps.
    """

    exact: ClassVar[Literal["in the limit"]] = "in the limit"
    absorbing_only: ClassVar[bool] = False

    def step(
        self, x: Tensor, t: Tensor, s: Tensor, log_probs: Tensor, context: SamplingContext
    ) -> Tensor:
        """Lift some masks, or renew some noise; all of it where s is 0."""
        process = context.process
        if process is None or process.absorbing:
            return lift(x, t, s, log_probs, context)
        alpha, earlier = levels(t, s, context)
        x0 = process.guess(x, log_probs, alpha, context)
        return process.between(x, x0, alpha, earlier, context)
