"""The ancestral sampler."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import SamplingContext, StepSampler


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
        """Lift some masks, or renew some noise; all of it where s is 0.

        Two draws, whether to lift a mask and then which token it becomes, instead of one over the
        tokens and the mask: next to a mask of high probability rare tokens would vanish.
        """
        if context.process is not None and not context.absorbing:
            return context.process.reverse(x, t, s, log_probs, context)
        kept = context.noise.mask_rate(s) / context.noise.mask_rate(t)
        lift = context.masked(x) & (context.uniform() >= torch.where(s > 0, kept, 0))
        return torch.where(lift, context.categorical(log_probs, lift), x)
